"""Upscale pictures of any size.

files           many picture files through one network
tiling          one image of any size in bounded memory
image_io        read and write pictures with alpha, 16 bit, EXIF and ICC
tiff            TIFF results with the tags of their picture
interpolation   weights between two networks
onnx_files      networks as ONNX files, and ONNX files as networks
"""
