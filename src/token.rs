//! Signed tokens, Message-IDs and boundaries: everything that comes from the token key.
//!
//! A token names a subscriber by an [`OpaqueId`], never by address, and holds a message authentication
//! code (HMAC-SHA256, cut to 128 bits) over its scope. It is verified before anything is looked up.
//! Old keys stay in the key file for as long as links in sent mails shall work (at least 60 days);
//! the first key signs, all of them verify.
//!
//! The key file is text: one `kid:key` per line, the current key first. `kid` is 1 to 8 characters of
//! `a-z0-9`; `key` is 32 bytes in base64. Empty lines and lines that begin with `#` are ignored. Whoever
//! can read it can unsubscribe everybody, so it is created with mode 0600.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::hmac;
use ring::rand::SecureRandom;

use crate::model::{DigestId, SubscriberId};

/// Bytes of a key: the block of HMAC-SHA256 takes them without hashing, and 256 bits are never guessed.
const KEY_BYTES: usize = 32;
/// Bytes of an [`OpaqueId`].
const ID_BYTES: usize = 8;
/// Bytes of the authentication code in a link: 128 bits, as RFC 8058 asks for "hard to forge".
const MAC_BYTES: usize = 16;
/// Bytes of the authentication code in an envelope sender, whose local part may have 64 characters in all.
const ENVELOPE_MAC_BYTES: usize = 8;
/// Bytes of the code in Message-IDs and boundaries.
const MESSAGE_ID_BYTES: usize = 16;
/// Characters of the longest key id.
const KID_MAX: usize = 8;
/// Characters of the longest token of any kind; anything longer is refused unread.
const TOKEN_MAX: usize = 80;
/// Keys in a ring: each one is tried for an envelope token, so their number is bounded.
const KEYS_MAX: usize = 16;
/// First part of every link token. A change of what is signed takes a new one.
const TOKEN_VERSION: &str = "v1";

/// The keys of one installation, the current one first.
#[derive(Debug, Clone)]
pub struct Keys(Vec<TokenKey>);

impl Keys {
    /// A ring whose first key signs and whose every key verifies.
    pub fn new(keys: Vec<TokenKey>) -> Result<Self, KeyFileError> {
        if keys.is_empty() {
            return Err(KeyFileError::Empty);
        }
        if keys.len() > KEYS_MAX {
            return Err(KeyFileError::TooMany { found: keys.len() });
        }
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|earlier| earlier.kid == key.kid) {
                return Err(KeyFileError::Repeated { kid: key.kid.clone() });
            }
        }
        Ok(Self(keys))
    }

    /// Reads the text of a key file. The error names the line, never what stands in it.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
        let keys = lines
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| TokenKey::parse(line).ok_or(KeyFileError::Line { number }))
            .collect::<Result<_, _>>()?;
        Self::new(keys)
    }

    /// The text of a key file that [`Keys::parse`] reads. It is secret.
    pub fn to_text(&self) -> String {
        let mut text =
            String::from("# Paperround token keys, the current one first. Keep secret; see `token_key_file`.\n");
        for key in &self.0 {
            text.push_str(&format!("{}:{}\n", key.kid, BASE64.encode(key.bytes)));
        }
        text
    }

    /// A token that lets its bearer do what `scope` says for this subscriber.
    pub fn sign(&self, scope: Scope, subscriber: &SubscriberId) -> String {
        self.sign_payload(scope, &self.current().opaque_id(subscriber).0)
    }

    /// A token for one digest of its subscriber (`View`: the digest as a page).
    pub fn sign_digest(&self, scope: Scope, digest: &DigestId) -> String {
        let mut payload = self.current().opaque_id(&digest.subscriber).0.to_vec();
        payload.extend(digest.number.to_be_bytes());
        self.sign_payload(scope, &payload)
    }

    /// Checks a token of [`Keys::sign`] or [`Keys::sign_digest`], in constant time.
    ///
    /// Every fault gives the same error, so that whoever guesses learns nothing.
    pub fn verify(&self, scope: Scope, token: &str) -> Result<Bearer, BadToken> {
        if token.len() > TOKEN_MAX {
            return Err(BadToken);
        }
        let mut parts = token.split('.');
        let (Some(TOKEN_VERSION), Some(kid), Some(payload_text), Some(mac_text), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadToken);
        };
        let key = self.0.iter().find(|key| key.kid == kid).ok_or(BadToken)?;
        let payload = from_base32(payload_text).ok_or(BadToken)?;
        let mac = from_base32(mac_text).ok_or(BadToken)?;
        let expected = key.code(scope.label(), &payload);
        if mac.len() != MAC_BYTES || !key.equal(&mac, &expected[..MAC_BYTES]) {
            return Err(BadToken);
        }
        Bearer::from_payload(&payload).ok_or(BadToken)
    }

    /// The token in an envelope sender (`bounces+TOKEN@…`): 26 characters of `a-z2-7`.
    ///
    /// It has no key id and a shorter code than a link's: it can only report a bounce, and a local part has
    /// 64 characters in all (RFC 5321, 4.5.3.1.1).
    pub fn sign_envelope(&self, subscriber: &SubscriberId) -> String {
        self.sign_short(Scope::Bounce, subscriber)
    }

    /// Checks a token of [`Keys::sign_envelope`]. Letter case is free, since relays may change it.
    pub fn verify_envelope(&self, token: &str) -> Result<Bearer, BadToken> {
        self.verify_short(Scope::Bounce, token)
    }

    /// The token in the address that a request to leave goes to (`leave+TOKEN@…`), as short as an envelope sender's for
    /// the same reason, and worth nothing as one.
    pub fn sign_leave_address(&self, subscriber: &SubscriberId) -> String {
        self.sign_short(Scope::Unsubscribe, subscriber)
    }

    /// Checks a token of [`Keys::sign_leave_address`]. Letter case is free.
    pub fn verify_leave_address(&self, token: &str) -> Result<Bearer, BadToken> {
        self.verify_short(Scope::Unsubscribe, token)
    }

    fn sign_short(&self, scope: Scope, subscriber: &SubscriberId) -> String {
        let key = self.current();
        let id = key.opaque_id(subscriber).0;
        let code = key.code(scope.label(), &id);
        to_base32(&[&id[..], &code[..ENVELOPE_MAC_BYTES]].concat())
    }

    fn verify_short(&self, scope: Scope, token: &str) -> Result<Bearer, BadToken> {
        if token.len() > TOKEN_MAX {
            return Err(BadToken);
        }
        let bytes = from_base32(&token.to_ascii_lowercase()).ok_or(BadToken)?;
        if bytes.len() != ID_BYTES + ENVELOPE_MAC_BYTES {
            return Err(BadToken);
        }
        let (id, mac) = bytes.split_at(ID_BYTES);
        // Every key is tried, also after a match, so that the time does not tell which one fits.
        let mut fits = false;
        for key in &self.0 {
            fits |= key.equal(mac, &key.code(scope.label(), id)[..ENVELOPE_MAC_BYTES]);
        }
        fits.then(|| Bearer::from_payload(id)).flatten().ok_or(BadToken)
    }

    /// The names under which tokens of any key in the ring may call this subscriber, the current key's first.
    ///
    /// For an index from [`Bearer::id`] back to the subscriber.
    pub fn opaque_ids(&self, subscriber: &SubscriberId) -> impl Iterator<Item = OpaqueId> {
        self.0.iter().map(move |key| key.opaque_id(subscriber))
    }

    /// `<pr1.CODE@DOMAIN>`, the same for every attempt of one digest and different for any two.
    pub fn message_id(&self, digest: &DigestId, from_domain: &str) -> String {
        let code = self.current().code(b"message-id", digest_key(digest).as_bytes());
        let domain = from_domain.to_ascii_lowercase();
        format!("<pr1.{}@{domain}>", to_base32(&code[..MESSAGE_ID_BYTES]))
    }

    /// The boundary between the parts of a digest's message. Papers cannot contain it: it takes the key to know it.
    pub fn boundary(&self, digest: &DigestId) -> String {
        let code = self.current().code(b"boundary", digest_key(digest).as_bytes());
        format!("pr1-{}", to_base32(&code[..MESSAGE_ID_BYTES]))
    }

    fn sign_payload(&self, scope: Scope, payload: &[u8]) -> String {
        let key = self.current();
        let code = key.code(scope.label(), payload);
        let (kid, payload, mac) = (&key.kid, to_base32(payload), to_base32(&code[..MAC_BYTES]));
        format!("{TOKEN_VERSION}.{kid}.{payload}.{mac}")
    }

    /// What identifies each key without telling it, the current one first: workers that share a state must agree.
    pub fn fingerprints(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|key| format!("{}:{}", key.kid, to_base32(&key.code(b"fingerprint", b"")[..ID_BYTES])))
            .collect()
    }

    fn current(&self) -> &TokenKey {
        &self.0[0] // `new` refuses an empty ring.
    }
}

/// One key and its public name.
#[derive(Clone)]
pub struct TokenKey {
    kid: String,
    bytes: [u8; KEY_BYTES],
    hmac: hmac::Key,
}

impl TokenKey {
    /// A new key from the machine's source of chance.
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, KeyFileError> {
        let mut bytes = [0; KEY_BYTES];
        let mut name = [0; 5];
        rng.fill(&mut bytes).map_err(|_| KeyFileError::NoRandomness)?;
        rng.fill(&mut name).map_err(|_| KeyFileError::NoRandomness)?;
        Ok(Self::from_bytes(&to_base32(&name), bytes).expect("base32 text of 5 bytes has the form of a kid"))
    }

    /// The key with this name and these bytes; `None` unless `kid` is 1 to 8 characters of `a-z0-9`.
    pub fn from_bytes(kid: &str, bytes: [u8; KEY_BYTES]) -> Option<Self> {
        let well_formed = (1..=KID_MAX).contains(&kid.len())
            && kid
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        well_formed.then(|| Self {
            kid: kid.to_owned(),
            bytes,
            hmac: hmac::Key::new(hmac::HMAC_SHA256, &bytes),
        })
    }

    fn parse(line: &str) -> Option<Self> {
        let (kid, key) = line.split_once(':')?;
        Self::from_bytes(kid.trim(), BASE64.decode(key.trim()).ok()?.try_into().ok()?)
    }

    /// A code over `message` for one purpose: no code of one purpose is ever valid for another.
    fn code(&self, purpose: &[u8], message: &[u8]) -> [u8; KEY_BYTES] {
        let mut context = hmac::Context::with_key(&self.hmac);
        context.update(purpose);
        context.update(&[0]);
        context.update(message);
        context.sign().as_ref().try_into().expect("a SHA-256 tag has 32 bytes")
    }

    fn opaque_id(&self, subscriber: &SubscriberId) -> OpaqueId {
        let code = self.code(b"subscriber", subscriber.0.as_bytes());
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&code[..ID_BYTES]);
        OpaqueId(id)
    }

    /// Compares two cut codes in constant time: `hmac::verify` does that for whole tags only, so the codes' own
    /// tags are compared.
    fn equal(&self, left: &[u8], right: &[u8]) -> bool {
        hmac::verify(&self.hmac, left, hmac::sign(&self.hmac, right).as_ref()).is_ok()
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// What a token allows. A token of one scope is worth nothing in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// To stop mail to the subscriber.
    Unsubscribe,
    /// To read a digest as a web page.
    View,
    /// To read the subscriber's feed.
    Feed,
    /// To report a bounce.
    Bounce,
}

impl Scope {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Unsubscribe => b"token unsubscribe",
            Self::View => b"token view",
            Self::Feed => b"token feed",
            Self::Bounce => b"token bounce",
        }
    }
}

/// A subscriber's name in tokens: nobody can tell whose it is without the key. Written as 13 characters of `a-z2-7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpaqueId([u8; ID_BYTES]);

impl fmt::Display for OpaqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base32(&self.0))
    }
}

/// Whom a genuine token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bearer {
    /// The subscriber; [`Keys::opaque_ids`] leads back.
    pub id: OpaqueId,
    /// The number of the digest, when the token is for one digest.
    pub digest: Option<u32>,
}

impl Bearer {
    fn from_payload(payload: &[u8]) -> Option<Self> {
        let (id, rest) = payload.split_at_checked(ID_BYTES)?;
        let digest = match rest {
            [] => None,
            _ => Some(u32::from_be_bytes(rest.try_into().ok()?)),
        };
        Some(Self {
            id: OpaqueId(id.try_into().ok()?),
            digest,
        })
    }
}

/// The token is not one of ours, whatever is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is not valid")]
pub struct BadToken;

/// Why there is no key ring. No variant holds anything secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// A line has not the form `kid:key`.
    #[error(
        "line {number} of the token key file is not `kid:key` with 32 bytes in base64; restore the file from a backup, \
         or remove it to make a new key (links in mails that were sent then stop working)"
    )]
    Line {
        /// Its number, from 1.
        number: usize,
    },
    /// There is no key.
    #[error("the token key file holds no key; restore it from a backup, or remove it to make a new one")]
    Empty,
    /// There are more keys than are ever needed.
    #[error(
        "the token key file holds {found} keys, at most {KEYS_MAX} are allowed; remove the oldest, which stand last"
    )]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// Two keys have the same name.
    #[error("the token key file has two keys named {kid}; remove the one that is not in use")]
    Repeated {
        /// The name.
        kid: String,
    },
    /// The machine gave no random bytes.
    #[error("the system gave no random bytes for a new token key; try again")]
    NoRandomness,
}

/// Subscriber and number as one text; the number holds no `|`, so the last one divides them.
fn digest_key(digest: &DigestId) -> String {
    format!("{}|{}", digest.subscriber, digest.number)
}

/// RFC 4648 base32 in lower case without padding: it survives every mail system's treatment of letter case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn to_base32(bytes: &[u8]) -> String {
    let (mut text, mut buffer, mut n_bits) = (String::new(), 0_u32, 0_u32);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        n_bits += 8;
        while n_bits >= 5 {
            n_bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> n_bits & 31) as usize]));
        }
        buffer &= (1 << n_bits) - 1;
    }
    if n_bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - n_bits) & 31) as usize]));
    }
    text
}

/// The inverse of [`to_base32`]; any other text than the one it writes gives `None`.
fn from_base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut buffer, mut n_bits) = (Vec::new(), 0_u32, 0_u32);
    for byte in text.bytes() {
        let value = match byte {
            b'a'..=b'z' => byte - b'a',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        buffer = (buffer << 5) | u32::from(value);
        n_bits += 5;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((buffer >> n_bits) as u8);
            buffer &= (1 << n_bits) - 1;
        }
    }
    // Left-over bits must be fewer than a character has, and zero: one value has one spelling.
    (n_bits < 5 && buffer == 0).then_some(bytes)
}

#[cfg(test)]
mod tests;
