//! The `paperround` command.

fn main() {}
