//! Pictures that stay where the decoder left them.
