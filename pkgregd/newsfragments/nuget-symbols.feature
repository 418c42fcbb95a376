Symbol packages of NuGet (`.snupkg`) are taken, and their portable PDBs are sent to debuggers by name, signature and
checksum.
