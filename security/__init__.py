"""Keys, the payload codec, and whoever may read or say something: what keeps a case from being read or forged."""
