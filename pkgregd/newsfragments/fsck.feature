`pkgregd fsck` looks for twenty kinds of inconsistencies within the catalog and between it and the stored files, tells what each is and what to do, and
ends with 0, 1 (something is left) or 2 (it could not find out). `--repair` mends what can be mended without losing the last copy of anything, `--verify` reads all bytes.
