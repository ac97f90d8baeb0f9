//! Single switches and failures, one by one.
