//! Tokens: only those that were made are accepted, each for what it was made for. A key file is written as it was read.

use std::sync::LazyLock;

use paperround::{
    model::{DigestId, SubscriberId},
    token::{Keys, Scope, TokenKey},
};

const SCOPES: [Scope; 4] = [Scope::Unsubscribe, Scope::View, Scope::Feed, Scope::Bounce];
/// As many of each kind of token are known.
const N_SUBSCRIBERS: u8 = 8;

/// A token and what it is for; `None` for those in envelope senders.
type Made = (String, Option<Scope>);

/// The keys, and every token that was made with them.
static MADE: LazyLock<(Keys, Vec<Made>)> = LazyLock::new(|| {
    let key = |kid: &str, byte| TokenKey::from_bytes(kid, [byte; 32]).expect("a name of letters");
    let keys = Keys::new(vec![key("new", 7), key("old", 9)]).expect("two names");
    let former = Keys::new(vec![key("old", 9)]).expect("one name");
    let mut made = Vec::new();
    for n in 0..N_SUBSCRIBERS {
        let subscriber = SubscriberId(format!("reader-{n}@example.net").into());
        let digest = DigestId {
            subscriber: subscriber.clone(),
            number: u32::from(n) + 1,
        };
        for keys in [&keys, &former] {
            for scope in SCOPES {
                made.push((keys.sign(scope, &subscriber), Some(scope)));
                made.push((keys.sign_digest(scope, &digest), Some(scope)));
            }
            made.push((keys.sign_envelope(&subscriber), None));
        }
    }
    (keys, made)
});

/// A guess: the input itself, and a token that was made, changed as the input says.
pub fn token(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    is_made_if_taken(&text);
    if let [which, how, at, byte, ..] = *input {
        is_made_if_taken(&changed(which, how, usize::from(at), byte));
    }
    if let Ok(keys) = Keys::parse(&text) {
        let again = Keys::parse(&keys.to_text()).expect("what is written can be read");
        assert_eq!(again.fingerprints(), keys.fingerprints());
        assert!((1..=16).contains(&keys.fingerprints().len()));
    }
}

fn is_made_if_taken(guess: &str) {
    let (keys, made) = &*MADE;
    let is_made = |text: &str, purpose| made.iter().any(|(token, scope)| token == text && *scope == purpose);
    for scope in SCOPES {
        assert_eq!(
            keys.verify(scope, guess).is_ok(),
            is_made(guess, Some(scope)),
            "{guess:?} as {scope:?}"
        );
    }
    // Relays may change the case of an address.
    let lower = guess.to_ascii_lowercase();
    assert_eq!(keys.verify_envelope(guess).is_ok(), is_made(&lower, None), "{guess:?}");
}

/// A token that was made, with a byte replaced, added or taken away, or parts of another one.
fn changed(which: u8, how: u8, at: usize, byte: u8) -> String {
    let (_, made) = &*MADE;
    let token = &made[usize::from(which) % made.len()].0;
    let other = &made[usize::from(byte) % made.len()].0;
    let at = at % token.len();
    match how % 6 {
        0 => token.clone(),
        1 => format!("{}{}{}", &token[..at], char::from(byte), &token[at + 1..]),
        2 => format!("{}{}{}", &token[..at], char::from(byte), &token[at..]),
        3 => format!("{}{}", &token[..at], &token[at + 1..]),
        4 => format!("{}{}", &token[..at], other.get(at..).unwrap_or_default()),
        _ => token.to_ascii_uppercase(),
    }
}
