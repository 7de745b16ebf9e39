//! DKIM signatures (RFC 6376, RFC 8463) over a message's final bytes: relaxed/relaxed, RSA and Ed25519.
//!
//! Each covered header is listed once more than it occurs, so that nobody can add a second one. Content-Type is covered
//! too; lettre's signer can do neither that nor two signatures. Same message, same signature.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use memchr::{memchr, memchr_iter, memmem};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

/// The headers a signature covers, whether the message has them or not. RFC 8058 demands the List-Unsubscribe pair.
const COVERED: [&str; 12] = [
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "content-type",
    "list-id",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "feedback-id",
];
/// Characters of a signature's base64 per line.
const LINE_CHARS: usize = 70;
/// Bits of the weakest RSA key that is still trusted; ring refuses weaker ones.
const RSA_BITS_MIN: usize = 2048;
/// Octets of an Ed25519 seed.
const SEED_BYTES: usize = 32;

/// Signs for one domain with one or more keys.
#[derive(Debug)]
pub struct Signer {
    domain: String,
    keys: Vec<(String, SigningKey)>,
}

impl Signer {
    /// A signer for `domain`, which should be the From domain, with each key's selector.
    ///
    /// With an RSA and an Ed25519 key every message carries both signatures, for receivers that know only RSA.
    pub fn new(domain: &str, keys: Vec<(String, SigningKey)>) -> Result<Self, DkimError> {
        if let Some(bad) = [domain]
            .into_iter()
            .chain(keys.iter().map(|(s, _)| s.as_str()))
            .find(|name| !is_dns_name(name))
        {
            return Err(DkimError::Name {
                name: bad.chars().take(80).collect(),
            });
        }
        for (index, (selector, _)) in keys.iter().enumerate() {
            if keys[..index]
                .iter()
                .any(|(earlier, _)| earlier.eq_ignore_ascii_case(selector))
            {
                return Err(DkimError::SelectorTwice {
                    selector: selector.clone(),
                });
            }
        }
        let domain = domain.to_ascii_lowercase();
        Ok(Self { domain, keys })
    }

    /// The message with one `DKIM-Signature` per key in front. `at` is the letter's date, so that a repeated attempt
    /// gets the same signature.
    pub fn sign(&self, message: &[u8], at: DateTime<Utc>) -> Result<Vec<u8>, DkimError> {
        let (head, body) = split(message).ok_or(DkimError::NoHeaderEnd)?;
        let headers = fields(head);
        let body_hash = BASE64.encode(digest(&SHA256, &relaxed_body(body)));
        let mut signed = Vec::with_capacity(message.len() + 1_024 * self.keys.len());
        for (selector, key) in &self.keys {
            signed.extend(self.header(selector, key, &headers, &body_hash, at)?.into_bytes());
        }
        signed.extend_from_slice(message);
        Ok(signed)
    }

    /// What to publish in the DNS: for each key the name and the text of its TXT record.
    pub fn dns_records(&self) -> Vec<(String, String)> {
        let records = self.keys.iter();
        records
            .map(|(selector, key)| dns_record(key, selector, &self.domain))
            .collect()
    }

    fn header(
        &self,
        selector: &str,
        key: &SigningKey,
        headers: &[(String, &[u8])],
        body_hash: &str,
        at: DateTime<Utc>,
    ) -> Result<String, DkimError> {
        let (names, mut input) = covered(headers);
        let unsigned = format!(
            "DKIM-Signature: v=1; a={}; c=relaxed/relaxed; d={};\r\n s={selector}; t={};\r\n h={};\r\n bh={body_hash};\r\n b=",
            key.algorithm(),
            self.domain,
            at.timestamp(),
            fold_names(&names),
        );
        // RFC 6376, 3.7: the signature's own header comes last, with an empty b= and without its line end.
        let (_, value) = unsigned.split_once(':').expect("the header was written with a colon");
        input.extend(b"dkim-signature:");
        input.extend(relaxed_value(value.as_bytes()));
        let signature = BASE64.encode(key.sign(&input)?);
        // The signature starts right behind `b=`: only white space within it is without meaning to every verifier.
        let lines: Vec<&str> = signature
            .as_bytes()
            .chunks(LINE_CHARS)
            .map(|chunk| std::str::from_utf8(chunk).expect("base64 is ASCII"))
            .collect();
        Ok(format!("{unsigned}{}\r\n", lines.join("\r\n ")))
    }
}

/// The name and the text of the TXT record that publishes a key.
///
/// A text over 255 characters is entered into zone files as several quoted strings; DNS consoles do that themselves.
pub fn dns_record(key: &SigningKey, selector: &str, domain: &str) -> (String, String) {
    let (kind, public) = match &key.0 {
        Secret::Rsa(pair) => ("rsa", subject_public_key_info(pair.public().as_ref())),
        // RFC 8463, 4.2: the bare 32 bytes.
        Secret::Ed25519(pair) => ("ed25519", pair.public_key().as_ref().to_vec()),
    };
    let text = format!("v=DKIM1; k={kind}; p={}", BASE64.encode(public));
    (format!("{selector}._domainkey.{domain}"), text)
}

/// A private key.
pub struct SigningKey(Secret);

enum Secret {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

impl SigningKey {
    /// Reads the text of a key file: PEM with a PKCS#8 `PRIVATE KEY` (RSA or Ed25519), or the base64 of an Ed25519 seed.
    ///
    /// The error says which command makes a fitting file and never holds anything of the key.
    pub fn parse(text: &str) -> Result<Self, DkimError> {
        if !text.contains("-----BEGIN") {
            let seed = BASE64.decode(text.trim()).map_err(|_| DkimError::NoKey)?;
            let fits = seed.len() == SEED_BYTES;
            let pair = fits.then(|| Ed25519KeyPair::from_seed_unchecked(&seed).ok()).flatten();
            return pair
                .map(|pair| Self(Secret::Ed25519(Box::new(pair))))
                .ok_or(DkimError::NoKey);
        }
        if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(DkimError::Encrypted);
        }
        match PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| DkimError::NoKey)? {
            PrivateKeyDer::Pkcs8(der) => Self::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(_) => Err(DkimError::Pkcs1),
            _ => Err(DkimError::Unsuitable),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, DkimError> {
        // OpenSSL writes Ed25519 keys without the public half: `maybe_unchecked` computes it then.
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            return Ok(Self(Secret::Ed25519(Box::new(pair))));
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| DkimError::Unsuitable)?;
        Ok(Self(Secret::Rsa(Box::new(pair))))
    }

    /// The value of the `a=` tag.
    pub fn algorithm(&self) -> &'static str {
        match self.0 {
            Secret::Rsa(_) => "rsa-sha256",
            Secret::Ed25519(_) => "ed25519-sha256",
        }
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, DkimError> {
        match &self.0 {
            Secret::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                // PKCS#1 v1.5 padding is not random: the generator is asked for nothing that shows in the result.
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the interface asks for it; the signature does not depend on it"
                )]
                let unused = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &unused, input, &mut signature)
                    .map_err(|_| DkimError::Signing)?;
                Ok(signature)
            }
            // RFC 8463, 3: Ed25519 signs the SHA-256 of the input.
            Secret::Ed25519(pair) => Ok(pair.sign(digest(&SHA256, input).as_ref()).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.algorithm()).finish()
    }
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DkimError {
    /// The file is in OpenSSL's older form.
    #[error(
        "the DKIM key is an `RSA PRIVATE KEY` (PKCS#1); convert it: \
         openssl pkcs8 -topk8 -nocrypt -in OLD.pem -out NEW.pem (the published record stays the same)"
    )]
    Pkcs1,
    /// The file asks for a pass phrase.
    #[error("the DKIM key is encrypted; store it without a pass phrase: openssl pkey -in OLD.pem -out NEW.pem")]
    Encrypted,
    /// The file holds no private key.
    #[error(
        "the DKIM key file holds no private key in PEM; make one: \
         openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out dkim.pem"
    )]
    NoKey,
    /// The file holds another kind of key.
    #[error(
        "the DKIM key is neither Ed25519 nor RSA of {RSA_BITS_MIN} to 4096 bits; make one: \
         openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out dkim.pem"
    )]
    Unsuitable,
    /// Domain or selector is no DNS name.
    #[error("{name:?} is not a DNS name in ASCII; DKIM domain and selector look like example.org and pr1")]
    Name {
        /// What was found, shortened.
        name: String,
    },
    /// One DNS name cannot publish two keys.
    #[error("two DKIM keys have the selector {selector}; give each key its own")]
    SelectorTwice {
        /// The selector.
        selector: String,
    },
    /// The bytes are no message.
    #[error("the message has no empty line after its headers and cannot be signed")]
    NoHeaderEnd,
    /// The key did not sign.
    #[error("the DKIM key could not sign; check it with: openssl pkey -in dkim.pem -check -noout")]
    Signing,
}

/// Headers with the CRLF of the last one, and the body.
fn split(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = message.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((&message[..at + 2], &message[at + 4..]))
}

/// Each header's name in lower case and its value, still folded.
fn fields(head: &[u8]) -> Vec<(String, &[u8])> {
    let mut fields = Vec::new();
    let (mut start, mut from) = (0, 0);
    while let Some(length) = head[from..].windows(2).position(|window| window == b"\r\n") {
        let end = from + length;
        from = end + 2;
        if matches!(head.get(from), Some(b' ' | b'\t')) {
            continue;
        }
        let line = &head[start..end];
        if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            let name = String::from_utf8_lossy(&line[..colon]).trim().to_ascii_lowercase();
            fields.push((name, &line[colon + 1..]));
        }
        start = from;
    }
    fields
}

/// The names of `h=` and the canonical headers they stand for (RFC 6376, 3.4.2 and 5.4.2).
fn covered(headers: &[(String, &[u8])]) -> (Vec<&'static str>, Vec<u8>) {
    let mut by_name: BTreeMap<&str, Vec<&[u8]>> = BTreeMap::new();
    for (name, value) in headers {
        by_name.entry(name).or_default().push(value);
    }
    let (mut names, mut input) = (Vec::new(), Vec::new());
    for name in COVERED {
        // Repeated headers are taken from the bottom up; the name that finds none left keeps others out.
        for value in by_name.get(name).into_iter().flatten().rev() {
            names.push(name);
            input.extend(name.as_bytes());
            input.push(b':');
            input.extend(relaxed_value(value));
            input.extend(b"\r\n");
        }
        names.push(name);
    }
    (names, input)
}

/// Unfolded, each run of white space one space, none at the ends.
fn relaxed_value(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

/// RFC 6376, 3.4.4: white space reduced and cut at line ends, no empty lines at the end.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(body.len());
    let mut n_empty = 0;
    let text = body.strip_suffix(b"\r\n").unwrap_or(body);
    let mut begin = 0;
    for line_end in memchr_iter(b'\n', text).chain([text.len()]) {
        let line = &text[begin..line_end];
        begin = line_end + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let end = line
            .iter()
            .rposition(|byte| !matches!(byte, b' ' | b'\t'))
            .map_or(0, |last| last + 1);
        if end == 0 {
            n_empty += 1;
            continue;
        }
        canonical.extend(b"\r\n".repeat(n_empty));
        n_empty = 0;
        let line = &line[..end];
        if memchr(b'\t', line).is_none() && memmem::find(line, b"  ").is_none() {
            // Nothing to reduce, as in most lines.
            canonical.extend_from_slice(line);
            canonical.extend_from_slice(b"\r\n");
            continue;
        }
        let mut in_space = false;
        for &byte in line {
            let space = matches!(byte, b' ' | b'\t');
            if !space {
                canonical.push(byte);
            } else if !in_space {
                canonical.push(b' ');
            }
            in_space = space;
        }
        canonical.extend(b"\r\n");
    }
    canonical
}

fn fold_names(names: &[&str]) -> String {
    let lines: Vec<String> = names.chunks(4).map(|line| line.join(":")).collect();
    lines.join(":\r\n ")
}

/// The DER of RFC 5280's SubjectPublicKeyInfo around an RSA public key: what `p=` holds in every published record.
fn subject_public_key_info(rsa_public_key: &[u8]) -> Vec<u8> {
    /// AlgorithmIdentifier of rsaEncryption (1.2.840.113549.1.1.1) with NULL parameters.
    const RSA_ENCRYPTION: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let bits = der(3, &[&[0], rsa_public_key].concat());
    der(0x30, &[RSA_ENCRYPTION, &bits].concat())
}

/// One DER element with its length in the shortest form.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let mut element = vec![tag];
    match significant {
        [] => element.push(0),
        [short @ 0..=127] => element.push(*short),
        long => {
            element.push(0x80 | u8::try_from(long.len()).expect("a usize has at most 8 bytes"));
            element.extend(long);
        }
    }
    element.extend(content);
    element
}

fn is_dns_name(name: &str) -> bool {
    name.len() <= 200
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests;
