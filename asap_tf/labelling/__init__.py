"""A lake of frames, labeled by many workers, to be stopped and gone on with at any moment.

The source is listed once, into `inputs.arrow`, and cut into blocks of so many inputs. A block is
done when its shard, `shards/BLOCK.parquet`, is there: a row for each of its inputs, labeled or
failed. A worker writes the label maps of a block first and its shard last, each under a name in
`tmp/` that nobody else has and then renamed. So a block that was cut off has no shard, and whoever
does it again overwrites what it left with the same bytes; a block that is done twice, because a
worker was only thought lost, still has one shard. Every input is therefore in the manifest, all
shards in order, exactly once, whatever was killed and when: it follows from the names of the files,
and nobody keeps count. Renamed files outlive killed processes; outliving a loss of power is up to
the file system.
"""
