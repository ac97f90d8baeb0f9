//! Damaged and malicious files.
