//! The stored bytes of records, for the fuzz target and the replay of its seeds.

use std::fmt;

use super::schema::{
    self, Unreadable, decode_document, decode_entry, decode_paper, decode_subscriber, encode_document, encode_entry,
    encode_paper, encode_subscriber,
};

/// What is read from the body of a record is written and read again as the same. Returns whether it was read at all: most
/// bodies are refused.
///
/// # Panics
/// Where it is not.
pub fn comes_back(kind: u8, body: &[u8]) -> bool {
    match kind % 6 {
        0 => same(body, decode_subscriber, encode_subscriber),
        1 => same(body, decode_entry, encode_entry),
        2 => same(body, decode_paper, |stored| {
            encode_paper(&stored.paper, stored.first_fetched, stored.last_fetched)
        }),
        3 => same(body, decode_document, |(key, value)| encode_document(key, value)),
        4 => {
            // How the body lies in the store: whole, or in chunks under keys of their own.
            let (head, chunks) = schema::cut(7, body).expect("a body within the bound");
            let head = schema::Head::parse(&head).expect("a head that was just written");
            let parts = chunks
                .iter()
                .map(|chunk| schema::chunk_content(chunk).expect("a chunk that was just written"));
            assert_eq!(head.n_chunks as usize, chunks.len());
            assert_eq!(
                [head.inline].into_iter().chain(parts).collect::<Vec<_>>().concat(),
                body
            );
            schema::Head::parse(body).is_ok_and(|head| head.inline.len() < body.len())
        }
        _ => {
            let number = schema::decode_number(body).inspect(|number| assert_eq!(schema::encode_number(*number), body));
            let key = schema::parse_due_key(body).inspect(|(_, entry)| assert!(body.ends_with(entry)));
            number.is_ok() || key.is_ok()
        }
    }
}

fn same<T: fmt::Debug + PartialEq>(
    body: &[u8],
    read: impl Fn(&[u8]) -> Result<T, Unreadable>,
    write: impl Fn(&T) -> Result<Vec<u8>, Unreadable>,
) -> bool {
    match read(body) {
        Ok(value) => {
            let written = write(&value).expect("what was read can be written");
            assert_eq!(read(&written).as_ref(), Ok(&value));
            true
        }
        Err(unreadable) => {
            assert!(!unreadable.0.is_empty());
            false
        }
    }
}

#[cfg(test)]
#[path = "../../fuzz/src/mutations.rs"]
mod mutations;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::{comes_back, mutations};

    #[test]
    fn changed_seeds_of_stored_records_are_refused_or_come_back() {
        mutations::run("record", 10_000, |case| {
            if let Some((kind, body)) = case.split_first() {
                comes_back(*kind, body);
            }
        });
    }

    #[test]
    fn the_seeds_of_stored_records_come_back() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/record");
        let mut n_seeds = 0;
        for seed in fs::read_dir(folder).unwrap() {
            let path = seed.unwrap().path();
            let seed = fs::read(&path).unwrap();
            assert!(comes_back(seed[0], &seed[1..]), "{} is refused", path.display());
            n_seeds += 1;
        }
        assert!(n_seeds >= 6, "only {n_seeds} seeds");
    }
}
