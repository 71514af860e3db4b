"""How fast a network is, measured so that anybody can repeat it: `asap-tf bench`.

The protocol:

- **One process per artifact.** Each is opened in a process of its own, with a number of threads of
  its own, and stays open to the end. The processes never work at the same time: each waits for
  its turn. So peak memory is that of one artifact alone - of the whole process, the Python
  interpreter and the runtime's libraries included, from opening to the last run - and a runtime
  that crashes takes nothing else down.
- **Input.** One rendered street of the source size, seed 0, batch 1, held in memory, and as a JPEG
  of quality 90 and a PNG in a file that is in the page cache.
- **Four rows.** *Network only*: a uint8 frame of the network's size in, its label map out. *With
  resize*: a frame of the source size in, its label map at that size out, as `Segmenter.predict`
  does it; "including the resize" is how the paper counts. *JPEG* and *PNG*: the same from the
  file, read as `asap-tf predict` reads it. Times are wall-clock times around the call. Results are
  NumPy arrays in host memory: on a GPU, the copy into them waits for the device.
- **Turns.** An artifact's turn begins with untimed runs of the network for at least 0.1 s: they
  bring its threads, caches and the processor's clock into the state of a stream of frames, and
  outlast the threads of the artifact before, which ONNX Runtime lets spin for 0.04 s after a run.
  Then every row is timed once, in the order above.
- **Warm-up.** Each artifact takes turns until the median time of a turn, all rows together, differs
  by less than 3 % between two successive windows of 5 turns, at most 60 turns; the report names
  those that did not settle.
- **Rounds.** Then all artifacts have one turn in each round, in an order drawn anew from a fixed
  seed, for at least 100 rounds and at least as long as asked for. A machine that drifts hits all
  alike.
- **Figures.** p50, p90 and mean over the rounds; frames a second are 1 / p50. "Times as fast" is
  the median over the rounds of the first artifact's time divided by this one's in the same round,
  with its 95 % interval by order statistics, which holds for any distribution.
"""
