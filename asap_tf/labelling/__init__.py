"""Large collections of frames, labeled by many workers; can be stopped and resumed at any moment.

The source is listed once, into `inputs.arrow`, and cut into blocks of inputs. A block is done when
its shard, `shards/BLOCK.parquet`, exists: a row for each of its inputs, labeled or failed. A worker
writes the label maps of a block first and its shard last, each under a name in `tmp/` that is its
own and then renamed. So a block that was cut off has no shard, and whoever repeats it overwrites
its files with the same bytes; a block that is done twice, because a worker was wrongly taken for
lost, still has one shard. Every input is therefore exactly once in the manifest, all shards in
order, whatever was killed and when: it follows from the names of the files, and no counter is kept.
Renamed files outlive killed processes; whether they outlive a loss of power is up to the file
system.
"""
