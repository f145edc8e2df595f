"""Import of published weights as model folders: found or downloaded, checked, converted, installed whole.

`obtain` says where a model's weights come from and opens them: `local` finds copies on this machine, `download` fetches
archives, `archive` refuses dangerous ones, `files` gives folders and archives one face. `training` finds a part's
trained network among the files, `check` compares it with the model file, `install` converts it and puts the finished
folder in its place, under the `lock`, with the `record` of what was imported.
"""
