//! Stored records: refused, or read as something that is written and read again as the same.

use paperround::store::fuzzing;

/// The body of a record; the first byte says of which kind.
pub fn record(input: &[u8]) {
    let Some((kind, body)) = input.split_first() else {
        return;
    };
    fuzzing::comes_back(*kind, body);
}
