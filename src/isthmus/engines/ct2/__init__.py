"""CTranslate2: which models it can run, how they are written for it, read back from its files, and searched by it."""
