use proptest::prelude::*;

use super::*;
use crate::model::SubscriberId;
use crate::token::{Keys, Scope, TokenKey};

const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/mail-lab/postfix-dsn-sample.eml");

fn sample() -> Option<String> {
    let sample = std::fs::read_to_string(SAMPLE).ok();
    if sample.is_none() {
        println!("skipped: ../shared is absent");
    }
    sample
}

fn keys() -> Keys {
    Keys::new(vec![TokenKey::from_bytes("k1", [3; 32]).unwrap()]).unwrap()
}

/// A report in Postfix's form with these recipient fields and this returned part.
fn report(fields: &str, returned: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example.net\r\nTo: bounces+abc234@example.org\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n\
         --b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.net\r\n\r\n\
         {fields}\r\n--b\r\n{returned}\r\n--b--\r\n"
    )
}

fn failed(verdict: Verdict) -> BouncedRecipient {
    match verdict {
        Verdict::Dsn(dsn) => dsn.recipients.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn check_10_the_report_of_a_real_postfix_leads_back_to_its_subscriber() {
    let Some(sample) = sample() else { return };
    let Verdict::Dsn(dsn) = read(sample.as_bytes()) else {
        panic!("{:?}", read(sample.as_bytes()))
    };
    assert_eq!(dsn.envelope_token.as_deref(), Some("t0k3n"));
    assert_eq!(
        dsn.original_message_id.as_deref(),
        Some("<20261109.abc123@papers.example.org>")
    );
    let expected = BouncedRecipient {
        address: "gone@relay.example".into(),
        action: Action::Failed,
        status: Some((5, 1, 1)),
        diagnostic: "smtp; 550 5.1.1 <gone@relay.example>: User unknown".into(),
    };
    assert_eq!(dsn.recipients, [expected]);
    assert_eq!(dsn.recipients[0].weight(), Weight::Hard);
    // A token that is not ours settles nothing; ours names the subscriber.
    assert!(keys().verify_envelope("t0k3n").is_err());
    let ana = SubscriberId("ana".into());
    let ours = sample.replace("t0k3n", &keys().sign_envelope(&ana));
    let Verdict::Dsn(dsn) = read(ours.as_bytes()) else {
        panic!()
    };
    let bearer = keys().verify_envelope(&dsn.envelope_token.unwrap()).unwrap();
    assert_eq!(Some(bearer.id), keys().opaque_ids(&ana).next());
    // Files with local line ends, as a pipe delivers them, read the same.
    assert!(matches!(read(sample.replace("\r\n", "\n").as_bytes()), Verdict::Dsn(_)));
}

#[test]
fn only_codes_about_the_mailbox_count_against_it() {
    let check = |fields: &str, status: Option<(u8, u16, u16)>, weight: Weight| {
        let fields = format!("Final-Recipient: rfc822; Ana@Example.NET\r\nAction: failed\r\n{fields}\r\n");
        let recipient = failed(read(report(&fields, "").as_bytes()));
        assert_eq!((recipient.status, recipient.weight()), (status, weight), "{fields}");
        assert_eq!(recipient.address, "ana@example.net");
    };
    check("Status: 5.1.1", Some((5, 1, 1)), Weight::Hard);
    check("Status: 5.1.10 (null MX)", Some((5, 1, 10)), Weight::Hard);
    check("Status: 5.2.1", Some((5, 2, 1)), Weight::Hard);
    check("Status: 5.2.2", Some((5, 2, 2)), Weight::Soft);
    check("Status: 4.4.7", Some((4, 4, 7)), Weight::Soft);
    check("Status: 5.7.1", Some((5, 7, 1)), Weight::None);
    check("Status: 5.4.5", Some((5, 4, 5)), Weight::None);
    check(
        "Status: 5.0.0\r\nDiagnostic-Code: smtp; 550-5.1.1 no\r\n such user",
        Some((5, 1, 1)),
        Weight::Hard,
    );
    check(
        "Status: 5.0.0\r\nDiagnostic-Code: smtp; 550 no 4.2.2",
        Some((5, 0, 0)),
        Weight::None,
    );
    check(
        "Diagnostic-Code: smtp; 550 5.1.1 x from 127.0.0.1",
        Some((5, 1, 1)),
        Weight::Hard,
    );
    check("Status: five", None, Weight::None);
    check("Status: 5.1.1.1", None, Weight::None);
    check("Status: 5.99999.1", None, Weight::None);
}

#[test]
fn delayed_and_delivered_reports_suppress_nobody() {
    for action in ["delayed", "Delivered", "relayed", "expanded (list)"] {
        let fields = format!("Final-Recipient: rfc822;a@example.net\r\nAction: {action}\r\nStatus: 5.1.1\r\n");
        let Verdict::Delayed(dsn) = read(report(&fields, "").as_bytes()) else {
            panic!("{action}")
        };
        assert_eq!(dsn.recipients[0].weight(), Weight::None);
    }
    assert_eq!(
        read(report("Final-Recipient: rfc822;a@example.net\r\nAction: eaten\r\n", "").as_bytes()),
        Verdict::Unknown
    );
}

#[test]
fn the_address_we_wrote_to_is_reported_and_the_returned_headers_are_read() {
    let fields = "Final-Recipient: rfc822; behind@forward.example.com\r\nOriginal-Recipient: rfc822;ana@example.net\r\n\
                  Action: failed\r\nStatus: 5.1.1\r\n";
    let returned = "Content-Type: text/rfc822-headers\r\n\r\nReturn-Path: <bounces+zzz@example.org>\r\n\
                    Message-ID: <pr1.aaa@example.org>\r\nMessage-ID: <added@mx>\r\nSubject: x\r\n";
    let Verdict::Dsn(dsn) = read(report(fields, returned).as_bytes()) else {
        panic!()
    };
    assert_eq!(dsn.recipients[0].address, "ana@example.net");
    assert_eq!(dsn.original_message_id.as_deref(), Some("<pr1.aaa@example.org>"));
    assert_eq!(dsn.envelope_token.as_deref(), Some("abc234"));
    let elsewhere = report(fields, returned).replace("bounces+abc234@", "postmaster@");
    let Verdict::Dsn(dsn) = read(elsewhere.as_bytes()) else {
        panic!()
    };
    assert_eq!(dsn.envelope_token.as_deref(), Some("zzz"));
}

#[test]
fn complaints_are_read_and_their_withdrawal_is_not_one() {
    let arf = |kind: &str| {
        format!(
            "From: fbl@provider.example.com\r\nTo: ops@example.org\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=feedback-report; boundary=\"b\"\r\n\r\n--b\r\n\r\nA report.\r\n--b\r\n\
             Content-Type: message/feedback-report\r\n\r\nFeedback-Type: {kind}\r\nUser-Agent: x/1\r\nVersion: 1\r\n\
             Original-Mail-From: <bounces+abc234@example.org>\r\nOriginal-Rcpt-To: <Ana@example.net>\r\n--b\r\n\
             Content-Type: message/rfc822\r\n\r\nMessage-ID: <pr1.aaa@example.org>\r\n\
             List-Unsubscribe: <https://papers.example.org/u/v1.k1.aaa.bbb>,\r\n <mailto:leave@example.org>\r\n\r\nx\r\n--b--\r\n"
        )
    };
    let expected = Complaint {
        kind: "abuse".into(),
        address: Some("ana@example.net".into()),
        envelope_token: Some("abc234".into()),
        link_token: Some("v1.k1.aaa.bbb".into()),
        original_message_id: Some("<pr1.aaa@example.org>".into()),
    };
    assert_eq!(read(arf("abuse").as_bytes()), Verdict::Complaint(expected));
    for kind in ["not-spam", "auth-failure", "", "\u{1d}"] {
        assert_eq!(read(arf(kind).as_bytes()), Verdict::Unknown, "{kind}");
    }
}

#[test]
fn requests_to_leave_are_told_from_automatic_replies() {
    let ana = SubscriberId("ana".into());
    let token = keys().sign(Scope::Unsubscribe, &ana);
    let check = |headers: &str, expected: Option<Option<&str>>| {
        let mail = format!("From: Ana <Ana@Example.net>\r\n{headers}\r\n\r\nhello\r\n");
        match (read(mail.as_bytes()), expected) {
            (Verdict::Unsubscribe(request), Some(token)) => {
                assert_eq!(request.token.as_deref(), token, "{headers}");
                assert_eq!(request.from.as_deref(), Some("ana@example.net"));
            }
            (Verdict::AutoReply | Verdict::Unknown, None) => {}
            (other, _) => panic!("{headers}: {other:?}"),
        }
    };
    let token = token.as_str();
    check(
        &format!("To: leave+{token}@example.org\r\nSubject: x"),
        Some(Some(token)),
    );
    check(
        &format!("To: <leave@example.org>\r\nSubject: unsubscribe {token}"),
        Some(Some(token)),
    );
    check(
        &format!("To: leave@example.org\r\nSubject: Re: ({token})."),
        Some(Some(token)),
    );
    check(
        &format!("To: leave@example.org\r\nSubject: {token}\r\nAuto-Submitted: auto-generated"),
        Some(Some(token)),
    );
    // The short token of an address, also where a program wrote the mail for its reader, and without a subject.
    let short = keys().sign_leave_address(&ana);
    check(
        &format!("To: <leave+{short}@example.org>\r\nSubject: unsubscribe"),
        Some(Some(&short)),
    );
    check(&format!("To: leave+{short}@example.org"), Some(Some(&short)));
    check(
        &format!("To: leave+{short}@example.org\r\nSubject: Unsubscribe\r\nAuto-Submitted: auto-generated"),
        Some(Some(&short)),
    );
    check(
        &format!("To: bounces+{short}@example.org\r\nSubject: Re: 3 new papers"),
        None,
    );
    check("To: leave@example.org\r\nSubject: Unsubscribe", Some(None));
    check(
        "To: ops@example.org\r\nSubject: How do I unsubscribe from seminars?",
        None,
    );
    check("To: ops@example.org\r\nSubject: version v1.2.3", None);
    check(
        "To: leave@example.org\r\nSubject: unsubscribe\r\nAuto-Submitted: auto-generated",
        None,
    );
    for note in [
        "Auto-Submitted: auto-replied",
        "X-Autoreply: yes",
        "Precedence: auto_reply",
        "Auto-Submitted: auto-replied (vacation)",
    ] {
        let mail = format!(
            "To: bounces+abc@example.org\r\nFrom: a@example.net\r\nSubject: Re: {token}\r\n{note}\r\n\r\nAway.\r\n"
        );
        assert_eq!(read(mail.as_bytes()), Verdict::AutoReply, "{note}");
    }
    for subject in [
        "Out of Office: until Monday",
        "Automatic reply: 3 new papers",
        "Automatische Antwort: x",
    ] {
        let mail = format!("To: bounces+abc@example.org\r\nFrom: a@example.net\r\nSubject: {subject}\r\n\r\nAway.\r\n");
        assert_eq!(read(mail.as_bytes()), Verdict::AutoReply, "{subject}");
    }
    assert_eq!(read(b""), Verdict::Unknown);
    assert_eq!(read(b"\r\n\r\n"), Verdict::Unknown);
}

#[test]
fn evidence_is_one_bounded_line() {
    let fields = format!(
        "Final-Recipient: rfc822; a@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; \u{1b}[31m\u{7} {}\r\n",
        "x".repeat(5_000)
    );
    let recipient = failed(read(report(&fields, "").as_bytes()));
    assert_eq!(recipient.diagnostic.chars().count(), EVIDENCE_MAX);
    assert!(!recipient.diagnostic.contains(char::is_control));
    let many = "Final-Recipient: rfc822; a@example.net\r\nAction: failed\r\n\r\n".repeat(1_000);
    let Verdict::Dsn(dsn) = read(report(&many, "").as_bytes()) else {
        panic!()
    };
    assert_eq!(dsn.recipients.len(), RECIPIENTS_MAX);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        read(&bytes);
    }

    #[test]
    fn damaged_reports_never_panic(cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), end in any::<prop::sample::Index>()) {
        let fields = "Final-Recipient: rfc822; a@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n";
        let returned = "Content-Type: message/rfc822\r\n\r\nMessage-ID: <pr1.a@example.org>\r\n\r\nx";
        let mut bytes = report(fields, returned).into_bytes();
        for (at, byte) in cuts {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(end.index(bytes.len()) + 1);
        read(&bytes);
    }
}

#[test]
fn a_returned_message_id_is_one_line_whatever_stands_in_it() {
    let returned = "Content-Type: message/rfc822\r\n\r\nMessage-ID: <pr1.a\r\n\t\u{1b}[2J@example.org>\r\n\r\nx";
    let fields = "Final-Recipient: rfc822; ana@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n";
    match read(report(fields, returned).as_bytes()) {
        Verdict::Dsn(dsn) => assert_eq!(dsn.original_message_id.as_deref(), Some("<pr1.a [2J@example.org>")),
        other => panic!("{other:?}"),
    }
}
