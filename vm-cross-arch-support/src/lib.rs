//! Tradux.
