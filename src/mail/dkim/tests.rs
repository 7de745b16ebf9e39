use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::common::verify::DomainKey;
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator, Parameters, ResolverCache, Txt};

use super::*;
use crate::mail::message;

const RSA: &str = include_str!("rsa-test-key.pem");
const ED25519: &str = include_str!("ed25519-test-key.pem");

fn signer() -> Signer {
    let keys = [("rsa1", RSA), ("ed1", ED25519)];
    let keys = keys.map(|(selector, pem)| (selector.to_owned(), SigningKey::parse(pem).unwrap()));
    Signer::new("example.org", keys.into()).unwrap()
}

fn signed() -> String {
    let letter = message::tests::letter();
    let bytes = message::build(&letter).unwrap();
    String::from_utf8(signer().sign(&bytes, letter.date).unwrap()).unwrap()
}

/// The published records, so that no verifier asks the network.
struct Records(Mutex<HashMap<Box<str>, Txt>>);

impl ResolverCache<Box<str>, Txt> for Records {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.lock().unwrap().get(name).cloned()
    }

    fn remove<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.0.lock().unwrap().remove(name)
    }

    fn insert(&self, name: Box<str>, record: Txt, _: std::time::Instant) {
        self.0.lock().unwrap().insert(name, record);
    }
}

/// How many signatures mail-auth finds valid, of how many.
async fn verify(message: &str) -> (usize, usize) {
    let records = signer().dns_records().into_iter().map(|(name, text)| {
        let key = DomainKey::parse(text.as_bytes()).unwrap();
        (format!("{name}.").into_boxed_str(), Txt::from(key))
    });
    let records = Records(Mutex::new(records.collect()));
    let message = AuthenticatedMessage::parse(message.as_bytes()).unwrap();
    let verifier = MessageAuthenticator::new_quad9().unwrap();
    let parameters = Parameters::new(&message).with_txt_cache(&records);
    let results = verifier.verify_dkim(parameters).await;
    let passed = results.iter().filter(|output| *output.result() == DkimResult::Pass);
    (passed.count(), results.len())
}

/// Whether dkimpy finds each signature valid; `None` when it is absent.
fn verify_with_python(message: &str) -> Option<Vec<bool>> {
    const SCRIPT: &str = r#"
import sys, json
try:
    import dkim, nacl
except ImportError:
    sys.exit(77)
data = json.load(sys.stdin)
records = {name.encode() + b".": text.encode() for name, text in data["records"]}
message = data["message"].encode()
d = dkim.DKIM(message)
print(json.dumps([bool(d.verify(idx=i, dnsfunc=lambda name, timeout=5: records.get(name))) for i in range(2)]))
"#;
    let command = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = command else {
        println!("skipped: python3 is absent");
        return None;
    };
    let input = serde_json::json!({ "records": signer().dns_records(), "message": message });
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        println!("skipped: dkimpy is absent");
        return None;
    }
    Some(serde_json::from_slice(&output.stdout).unwrap_or_else(|_| vec![false, false]))
}

#[tokio::test]
async fn both_signatures_are_valid_for_two_independent_verifiers() {
    let message = signed();
    assert_eq!(verify(&message).await, (2, 2), "{message}");
    if let Some(valid) = verify_with_python(&message) {
        assert_eq!(valid, [true, true]);
    }
    assert!(message.split("\r\n").all(|line| line.len() <= 100), "{message}");
}

#[tokio::test]
async fn any_change_to_what_is_covered_breaks_both_signatures() {
    let message = signed();
    let changes: [(&str, String); 8] = [
        ("second Subject on top", format!("Subject: other\r\n{message}")),
        (
            "second Subject below",
            message.replacen("\r\nDate:", "\r\nSubject: other\r\nDate:", 1),
        ),
        ("second From", format!("From: x@example.com\r\n{message}")),
        (
            "Content-Type",
            message.replacen("multipart/alternative;", "multipart/mixed;", 1),
        ),
        ("List-Unsubscribe", message.replacen("/u/v1.k1", "/u/v1.k2", 1)),
        (
            "second Feedback-ID",
            message.replacen("\r\nX-Auto", "\r\nFeedback-ID: a:b:c:other1\r\nX-Auto", 1),
        ),
        ("body", message.replacen("3 new papers", "4 new papers", 1)),
        ("appended body", format!("{message}more\r\n")),
    ];
    for (what, changed) in changes {
        assert_ne!(changed, message, "{what}: the test must change something");
        assert_eq!(verify(&changed).await.0, 0, "{what}");
        if let Some(valid) = verify_with_python(&changed) {
            assert_eq!(valid, [false, false], "{what}");
        }
    }
    let absent = message.replacen("\r\nReply-To: <ops@example.org>", "", 1);
    assert_eq!(verify(&absent).await.0, 0, "a header was taken away");
}

#[tokio::test]
async fn what_relays_change_keeps_both_signatures() {
    let message = signed();
    let refolded = message.replacen("Subject: ", "subject:\r\n  ", 1);
    assert_eq!(verify(&refolded).await, (2, 2));
    let received = format!("Received: from a by b; Thu, 05 Nov 2026 07:00:10 +0000\r\n{message}\r\n\r\n");
    assert_eq!(verify(&received).await, (2, 2));
}

#[test]
fn signing_again_gives_the_same_bytes() {
    assert_eq!(signed(), signed());
}

#[test]
fn an_absent_header_is_covered_as_absent_and_a_present_one_twice() {
    let message = signed();
    let header = message
        .split("\r\n h=")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .replace("\r\n ", "");
    let count = |name: &str| header.split(':').filter(|listed| *listed == name).count();
    for name in COVERED {
        assert_eq!(count(name), 2, "{name}");
    }
    let bare = signer()
        .sign(b"From: a@example.org\r\n\r\nx\r\n", DateTime::UNIX_EPOCH)
        .unwrap();
    assert!(String::from_utf8(bare).unwrap().contains("h=from:from:to:subject:"));
}

#[test]
fn bodies_are_canonical_as_rfc_6376_says() {
    let check = |body: &str, expected: &str| {
        assert_eq!(
            String::from_utf8(relaxed_body(body.as_bytes())).unwrap(),
            expected,
            "{body:?}"
        );
    };
    check("", "");
    check("\r\n\r\n", "");
    check(" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n");
    check("a\r\n\r\n b", "a\r\n\r\n b\r\n");
    assert_eq!(relaxed_value(b" X \r\n\tY\t\r\n Z  "), b"X Y Z");
}

#[test]
fn key_files_are_read_or_the_mend_is_named() {
    let seed = BASE64.encode([7; 32]);
    assert_eq!(
        SigningKey::parse(&format!("{seed}\n")).unwrap().algorithm(),
        "ed25519-sha256"
    );
    assert_eq!(
        SigningKey::parse(&RSA.replace('\n', "\r\n")).unwrap().algorithm(),
        "rsa-sha256"
    );
    let check =
        |text: &str, expected: DkimError| assert_eq!(SigningKey::parse(text).unwrap_err(), expected, "{text:?}");
    check("", DkimError::NoKey);
    check("AAAA", DkimError::NoKey);
    check(
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        DkimError::Unsuitable,
    );
    check("-----BEGIN PRIVATE KEY-----\nAAAA\n", DkimError::NoKey);
    check(
        "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        DkimError::Pkcs1,
    );
    check(
        "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
        DkimError::Unsuitable,
    );
    check(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        DkimError::Encrypted,
    );
    assert!(DkimError::Pkcs1.to_string().contains("openssl pkcs8 -topk8"));

    let key = || SigningKey::parse(ED25519).unwrap();
    assert!(!format!("{:?}", key()).contains(&ED25519[30..50]));
    let bad = |domain: &str, selectors: &[&str]| {
        Signer::new(domain, selectors.iter().map(|s| ((*s).to_owned(), key())).collect()).unwrap_err()
    };
    assert!(matches!(bad("exämple.org", &["a"]), DkimError::Name { .. }));
    assert!(matches!(bad("example.org", &["a;b=x"]), DkimError::Name { .. }));
    assert!(matches!(
        bad("example.org", &["a", "A"]),
        DkimError::SelectorTwice { .. }
    ));
    assert_eq!(
        signer().sign(b"no headers", DateTime::UNIX_EPOCH),
        Err(DkimError::NoHeaderEnd)
    );
}

#[test]
fn published_records_hold_the_key_as_openssl_writes_it() {
    let records = signer().dns_records();
    assert_eq!(records[0].0, "rsa1._domainkey.example.org");
    let (head, key) = records[0].1.split_once("p=").unwrap();
    assert_eq!(head, "v=DKIM1; k=rsa; ");
    assert_eq!(key.len(), 392, "a 2048-bit SubjectPublicKeyInfo has 294 bytes");
    let openssl = Command::new("openssl")
        .args([
            "pkey",
            "-pubout",
            "-in",
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/mail/dkim/rsa-test-key.pem"),
        ])
        .output();
    match openssl {
        Ok(output) => {
            let pem = String::from_utf8(output.stdout).unwrap();
            let base64: String = pem.lines().filter(|line| !line.starts_with("--")).collect();
            assert_eq!(key, base64);
        }
        Err(_) => println!("skipped: openssl is absent"),
    }
}
