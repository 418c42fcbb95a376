All stored files are read once in 30 days, slowly, to find those that have gone bad (`[scrub]`); `pkgregd scrub` does it now. What is damaged is logged, told by `fsck`, and not served.
