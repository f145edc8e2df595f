"""Raw data of one scan: zips, DICOM and NIfTI files to stations, everything checked."""
