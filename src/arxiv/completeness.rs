//! The proof that an answer is complete.
