//! oai
