"""DICOM as scanners write it: headers, frames and pixels of files to stacks of slices."""
