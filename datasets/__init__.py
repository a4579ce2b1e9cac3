"""Bytes to batches: import of photographs into shards, the cache of decoded images, sampling, degradation.

Reading, in the order of use:
    config            DataConfig, the data settings of a run
    image_set         open_images and ImageSet, the images of one role; disjoint: a check that
                      two sets share no image
    loader            TrainLoader, eval_pairs and eval_protocol
    sampling          order of images, crops and flips as pure functions
    shuffle_buffer    streamed samples, for sets too large to keep decoded
    network_input     image, grey or edges as input; degrade: bicubic resizing as in MATLAB and others
    corruption        random degradations of training inputs: steps; corruption_presets, corruption_text,
                      blur_kernels: published pipelines, their text form, and kernels
    upload            batches on the device, and asynchronous copies to it
    cache             decoded images of a machine, memory-mapped; cache_eviction: its size limit
    shard_reader      shards as samples; manifest: their index and checksums; remote_shards: shards at a URL
Importing:
    prepare           import of a dataset by name, of plain photographs, of a study's sets; preparers: the
                      reader, split and transform of each
    catalogue         table of known datasets; demo: photographs of installed packages
    pairs             pairs of HR and LR images, matched by name; alignment: their measured shift
    sources           safe reading of folders and zips; lsun: LMDB; tiles: large photographs in squares
    splits            division into train, val, test and gate
    validate          decoding and hashing of each image; duplicates: near-duplicate detection
    rejections        reasons for what is left out; folders: images among other files
    shard_writer      tar shards and their manifest
Shared:
    codec             strict decoding and hashing; jpeg_crop: decoding of JPEG crops alone
    array_images      TIFF, .npy and, with png16, PNG: 16 bit or any number of bands
    pixels            PixelFormat: bands and range of a set's images
    files             atomic files and folders, locks, number of CPUs
    arithmetic        what a core of the machine that divides wrongly computed is computed again
    object_store      file systems of s3://, gs:// and az://, and atomic creation of objects
    errors            UserError and its kinds; text, parsing: words and YAML; address: URLs without
                      their passwords; stopping: requests to stop
"""
