//! Metadata records as bytes: frame version, key, version, body.
