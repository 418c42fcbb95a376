Python packages in full: METADATA beside wheels (installers resolve without fetching them), yanking with a reason,
attestations with their provenance, the JSON API, requirements compared between form and archive, and an index in the
order of versions that says what PEP 740 and its forerunners ask for.
