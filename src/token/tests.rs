use proptest::prelude::*;

use super::*;

fn keys() -> Keys {
    Keys::new(vec![
        TokenKey::from_bytes("k2", [7; KEY_BYTES]).unwrap(),
        TokenKey::from_bytes("k1", [9; KEY_BYTES]).unwrap(),
    ])
    .unwrap()
}

fn subscriber(name: &str) -> SubscriberId {
    SubscriberId(name.into())
}

fn digest(name: &str, number: u32) -> DigestId {
    DigestId {
        subscriber: subscriber(name),
        number,
    }
}

#[test]
fn a_token_leads_back_to_its_subscriber_and_shows_no_address() {
    let keys = keys();
    let ana = subscriber("ana@example.net");
    for scope in [Scope::Unsubscribe, Scope::View, Scope::Feed, Scope::Bounce] {
        let token = keys.sign(scope, &ana);
        assert!(!token.contains("ana") && !token.contains('@'), "{token}");
        assert!(
            token.len() <= TOKEN_MAX && "leave+".len() + token.len() <= 64,
            "{token}"
        );
        assert!(
            token
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.')
        );
        let bearer = keys.verify(scope, &token).unwrap();
        assert_eq!(bearer.digest, None);
        assert!(keys.opaque_ids(&ana).any(|id| id == bearer.id));
        assert!(keys.opaque_ids(&subscriber("bo@example.net")).all(|id| id != bearer.id));
    }
    let bearer = keys.verify(
        Scope::View,
        &keys.sign_digest(Scope::View, &digest("ana@example.net", 12)),
    );
    assert_eq!(bearer.unwrap().digest, Some(12));
}

#[test]
fn a_token_of_one_scope_is_refused_in_every_other() {
    let keys = keys();
    let scopes = [Scope::Unsubscribe, Scope::View, Scope::Feed, Scope::Bounce];
    for signed in scopes {
        let token = keys.sign(signed, &subscriber("ana"));
        for used in scopes {
            assert_eq!(
                keys.verify(used, &token).is_ok(),
                signed == used,
                "{signed:?} as {used:?}"
            );
        }
    }
    assert_eq!(
        keys.verify_envelope(&keys.sign(Scope::Bounce, &subscriber("ana"))),
        Err(BadToken)
    );
}

#[test]
fn envelope_tokens_fit_and_survive_a_change_of_case() {
    let keys = keys();
    let token = keys.sign_envelope(&subscriber("ana"));
    assert_eq!(token.len(), 26);
    assert!("bounces+".len() + token.len() <= 64);
    let bearer = keys.verify_envelope(&token.to_uppercase()).unwrap();
    assert_eq!(Some(bearer.id), keys.opaque_ids(&subscriber("ana")).next());
    let leave = keys.sign_leave_address(&subscriber("ana"));
    assert_eq!(leave.len(), 26);
    assert!(keys.verify_leave_address(&leave.to_uppercase()).is_ok());
    // Whoever knows where bounces go cannot sign anybody off, and the other way round.
    assert_eq!(keys.verify_leave_address(&token), Err(BadToken));
    assert_eq!(keys.verify_envelope(&leave), Err(BadToken));
    assert_eq!(keys.verify_envelope("t0k3n"), Err(BadToken));
    assert_eq!(keys.verify_envelope(""), Err(BadToken));
}

#[test]
fn tokens_of_a_retired_key_stay_valid_while_it_is_in_the_ring() {
    let old = Keys::new(vec![TokenKey::from_bytes("k1", [9; KEY_BYTES]).unwrap()]).unwrap();
    let ana = subscriber("ana");
    let (link, envelope) = (old.sign(Scope::Unsubscribe, &ana), old.sign_envelope(&ana));
    for bearer in [
        keys().verify(Scope::Unsubscribe, &link),
        keys().verify_envelope(&envelope),
    ] {
        assert!(keys().opaque_ids(&ana).any(|id| id == bearer.unwrap().id));
    }
    let other = Keys::new(vec![TokenKey::from_bytes("k1", [1; KEY_BYTES]).unwrap()]).unwrap();
    assert_eq!(other.verify(Scope::Unsubscribe, &link), Err(BadToken));
    assert_eq!(other.verify_envelope(&envelope), Err(BadToken));
}

#[test]
fn none_of_two_hundred_thousand_forged_tokens_is_accepted() {
    let keys = keys();
    let link = keys.sign(Scope::Unsubscribe, &subscriber("ana"));
    let envelope = keys.sign_envelope(&subscriber("ana"));
    // A xorshift generator: the test must try the same tokens in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let letters = b"abcdefghijklmnopqrstuvwxyz234567.019ABZ-_= ";
    let mut accepted = 0;
    for round in 0..200_000 {
        let mut text = if round % 2 == 0 { link.clone() } else { envelope.clone() }.into_bytes();
        for _ in 0..=next(3) {
            let at = next(text.len());
            match next(4) {
                0 => text[at] = letters[next(letters.len())],
                1 => text.insert(at, letters[next(letters.len())]),
                2 => drop(text.remove(at)),
                _ => {
                    let other = next(text.len());
                    text.swap(at, other);
                }
            }
        }
        let text = String::from_utf8(text).unwrap();
        let genuine = text == link || text.eq_ignore_ascii_case(&envelope);
        if !genuine {
            accepted += usize::from(keys.verify(Scope::Unsubscribe, &text).is_ok());
            accepted += usize::from(keys.verify_envelope(&text).is_ok());
        }
    }
    assert_eq!(accepted, 0);
}

#[test]
fn message_ids_are_lower_case_stable_and_different_for_any_two_digests() {
    let id = keys().message_id(&digest("ana", 12), "Example.ORG");
    assert_eq!(id, keys().message_id(&digest("ana", 12), "example.org"));
    assert_eq!(id, id.to_lowercase());
    assert!(id.starts_with("<pr1.") && id.ends_with("@example.org>"), "{id}");
    let mut ids: Vec<String> = Vec::new();
    for name in ["ana", "bo", "ana|1", "ana|"] {
        ids.extend((1..100).map(|number| keys().message_id(&digest(name, number), "example.org")));
        ids.extend((1..100).map(|number| keys().boundary(&digest(name, number))));
    }
    let n = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), n);
}

#[test]
fn key_files_round_trip_and_faults_are_named_without_the_secret() {
    #[expect(clippy::disallowed_methods, reason = "the test makes a key as the program does")]
    let rng = ring::rand::SystemRandom::new();
    let made = Keys::new(vec![
        TokenKey::generate(&rng).unwrap(),
        TokenKey::generate(&rng).unwrap(),
    ])
    .unwrap();
    let text = made.to_text();
    let read = Keys::parse(&text.replace('\n', "\r\n\r\n")).unwrap();
    assert_eq!(read.to_text(), text);
    assert_eq!(
        made.sign(Scope::Feed, &subscriber("ana")),
        read.sign(Scope::Feed, &subscriber("ana"))
    );
    let secret = BASE64.encode(made.0[0].bytes);
    assert!(!format!("{made:?}").contains(&secret));

    let check = |text: &str, expected: KeyFileError| assert_eq!(Keys::parse(text).unwrap_err(), expected, "{text:?}");
    check("", KeyFileError::Empty);
    check("# nothing\n", KeyFileError::Empty);
    check("\nabc", KeyFileError::Line { number: 2 });
    check("k1:AAAA", KeyFileError::Line { number: 1 });
    check(&format!("K1:{secret}"), KeyFileError::Line { number: 1 });
    check(
        &format!("k1:{secret}\nk1:{secret}"),
        KeyFileError::Repeated { kid: "k1".into() },
    );
    let many: String = (0..17).map(|n| format!("k{n}:{secret}\n")).collect();
    check(&many, KeyFileError::TooMany { found: 17 });
}

#[test]
fn base32_agrees_with_rfc_4648() {
    for (bytes, text) in [
        ("", ""),
        ("f", "my"),
        ("fo", "mzxq"),
        ("foo", "mzxw6"),
        ("foobar", "mzxw6ytboi"),
    ] {
        assert_eq!(to_base32(bytes.as_bytes()), text);
        assert_eq!(from_base32(text).as_deref(), Some(bytes.as_bytes()));
    }
    for bad in ["a", "mz", "MY", "my=", "m1", "é"] {
        assert_eq!(from_base32(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn hostile_tokens_are_refused_without_panic(token in ".{0,100}") {
        prop_assert_eq!(keys().verify(Scope::View, &token), Err(BadToken));
        prop_assert_eq!(keys().verify_envelope(&token), Err(BadToken));
    }

    #[test]
    fn base32_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(from_base32(&to_base32(&bytes)), Some(bytes));
    }
}
