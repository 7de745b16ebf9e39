//! The dialogue with the relay: every wait ends, every end has its meaning, nothing is sent twice.

use std::cell::Cell;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use paperround::mail::envelope::Envelope;
use paperround::mail::login::{AuthChoice, Login};
use paperround::mail::relay::{MESSAGES_PER_CONNECTION_MAX, Relay, RelayConnection, RelaySettings};
use paperround::mail::tls::TlsMode;
use paperround::mail::wire::Limits;
use paperround::model::{Outcome, Stage};
use secrecy::SecretString;

use crate::harness::smtp::{Act, At, Authority, Encryption, Identity, Script, SmtpServer, say};

const MESSAGE: &[u8] = b"Subject: papers\r\n\r\n.one dot\r\n..\r\nend\r\n";
const PASSWORD: &str = "correct horse";
/// How long each step may take in tests.
const LIMIT: Duration = Duration::from_millis(400);
/// What a loaded machine may add to it.
const SLACK: Duration = Duration::from_secs(5);

fn settings(server: &SmtpServer) -> RelaySettings {
    RelaySettings {
        name: "the relay".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: server.port,
        tls: TlsMode::None,
        ca_file: None,
        login: None,
        hello: "host.example.org".to_owned(),
        limits: Limits::capped(Duration::from_secs(20)),
    }
}

fn login(auth: AuthChoice) -> Option<Login> {
    Some(Login {
        username: "papers".to_owned(),
        password: SecretString::from(PASSWORD),
        auth,
    })
}

fn relay(settings: RelaySettings) -> Relay {
    Relay::new(settings).expect("the settings are right")
}

async fn send_to(connection: &mut RelayConnection, recipient: &str) -> Outcome {
    let envelope = Envelope::new("papers@example.org", recipient).expect("both are addresses");
    let sent = connection
        .send(&envelope, MESSAGE, async { Ok::<(), Infallible>(()) })
        .await;
    sent.unwrap_or_else(|never| match never {})
}

/// One message over a new connection.
async fn send_one(settings: RelaySettings) -> Outcome {
    let mut connection = relay(settings).open();
    let outcome = send_to(&mut connection, "ana@example.net").await;
    connection.close().await;
    outcome
}

fn is_accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted { .. })
}

#[track_caller]
fn assert_configuration(outcome: &Outcome, stage: Stage, words: &[&str]) {
    match outcome {
        Outcome::Configuration { stage: at, reply } => {
            assert_eq!(*at, stage, "{reply}");
            for word in words {
                assert!(reply.contains(word), "{word:?} is not in {reply:?}");
            }
            assert!(!reply.contains(PASSWORD), "{reply}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_arrives_as_it_was_given() {
    for extensions in [&[][..], &["PIPELINING", "SIZE 100000", "8BITMIME"][..]] {
        let server = SmtpServer::start(Script::default().extensions(extensions)).await;
        let outcome = send_one(settings(&server)).await;
        assert_eq!(
            outcome,
            Outcome::Accepted {
                reply: "250 2.0.0 queued as 1".to_owned()
            }
        );
        let accepted = server.accepted();
        assert_eq!(accepted.len(), 1);
        assert_eq!(
            (accepted[0].sender.as_str(), accepted[0].recipient.as_str()),
            ("papers@example.org", "ana@example.net")
        );
        assert_eq!(accepted[0].bytes, MESSAGE);
        assert_eq!(server.commands("EHLO"), ["EHLO host.example.org"]);
        assert_eq!(server.commands("QUIT").len(), 1);
        let has_size = server.commands("MAIL")[0].ends_with(&format!("SIZE={}", MESSAGE.len()));
        assert_eq!(has_size, !extensions.is_empty());
    }
}

#[tokio::test]
async fn silence_at_any_step_ends_within_its_limit() {
    for (at, stage) in [
        (At::Greeting, Stage::Greeting),
        (At::Ehlo, Stage::Hello),
        (At::Auth, Stage::Auth),
        (At::Mail, Stage::Mail),
        (At::Rcpt, Stage::Recipient),
        (At::Data, Stage::Data),
        (At::Dot, Stage::FinalReply),
    ] {
        for extensions in [&["AUTH PLAIN"][..], &["AUTH PLAIN", "PIPELINING"][..]] {
            let script = Script::default()
                .extensions(extensions)
                .account("papers", PASSWORD)
                .fault(at, Act::Hang);
            let server = SmtpServer::start(script).await;
            let began = Instant::now();
            let outcome = send_one(RelaySettings {
                login: login(AuthChoice::Auto),
                limits: Limits::capped(LIMIT),
                ..settings(&server)
            })
            .await;
            assert!(began.elapsed() < LIMIT + SLACK, "{at:?} took {:?}", began.elapsed());
            match outcome {
                Outcome::Unconfirmed { reply } if at == At::Dot => {
                    assert!(reply.contains("no answer within 400ms"), "{reply}");
                }
                Outcome::TransientRelay { stage: found, .. } if at != At::Dot => assert_eq!(found, stage),
                other => panic!("{at:?} gave {other:?}"),
            }
            assert_eq!(server.accepted(), []);
            assert_eq!(server.n_sessions(), 1);
        }
    }
}

#[tokio::test]
async fn a_relay_that_does_not_read_the_message_ends_within_its_limit() {
    let server = SmtpServer::start(Script::default().fault(At::Body, Act::Hang)).await;
    let message = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab\r\n".repeat(400_000);
    let envelope = Envelope::new("papers@example.org", "ana@example.net").unwrap();
    let mut connection = relay(RelaySettings {
        limits: Limits::capped(LIMIT),
        ..settings(&server)
    })
    .open();
    let outcome = connection
        .send(&envelope, &message, async { Ok::<(), Infallible>(()) })
        .await
        .unwrap();
    assert!(
        matches!(outcome, Outcome::TransientRelay { stage: Stage::Body, .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_connection_that_ends_before_the_final_dot_is_no_delivery() {
    for (at, stage) in [
        (At::Greeting, Stage::Greeting),
        (At::Ehlo, Stage::Hello),
        (At::Mail, Stage::Mail),
        (At::Rcpt, Stage::Recipient),
        (At::Data, Stage::Data),
    ] {
        let server = SmtpServer::start(Script::default().fault(at, Act::Close)).await;
        let outcome = send_one(settings(&server)).await;
        assert!(
            matches!(&outcome, Outcome::TransientRelay { stage: found, .. } if *found == stage),
            "{outcome:?}"
        );
        assert_eq!(
            server.n_sessions(),
            1,
            "a new connection that fails is not tried again at once"
        );
    }
}

#[tokio::test]
async fn a_connection_that_ends_after_the_final_dot_is_unconfirmed() {
    for act in [
        Act::KeepAndClose,
        Act::KeepAndHang,
        say("354 what"),
        say("no reply at all"),
    ] {
        let server = SmtpServer::start(Script::default().fault(At::Dot, act.clone())).await;
        let outcome = send_one(RelaySettings {
            limits: Limits::capped(LIMIT),
            ..settings(&server)
        })
        .await;
        assert!(
            matches!(outcome, Outcome::Unconfirmed { .. }),
            "{act:?} gave {outcome:?}"
        );
        assert_eq!(server.n_sessions(), 1);
    }
}

#[tokio::test]
async fn an_unconfirmed_message_is_not_sent_again_over_a_reused_connection() {
    let server = SmtpServer::start(Script::default().fault_for(At::Dot, "bo@example.net", Act::KeepAndClose)).await;
    let mut connection = relay(settings(&server)).open();
    assert!(is_accepted(&send_to(&mut connection, "ana@example.net").await));
    let outcome = send_to(&mut connection, "bo@example.net").await;
    assert!(matches!(outcome, Outcome::Unconfirmed { .. }), "{outcome:?}");
    assert_eq!(server.accepted().len(), 2);
    assert!(is_accepted(&send_to(&mut connection, "cy@example.net").await));
    assert_eq!(server.n_sessions(), 2);
}

#[tokio::test]
async fn a_250_followed_by_the_end_is_accepted() {
    for farewell in ["250 2.0.0 kept\r\n", "250 2.0.0 kept\r\n421 4.4.2 bye\r\n"] {
        let act = Act::SayAndClose(farewell.as_bytes().to_vec());
        let server = SmtpServer::start(Script::default().fault_times(At::Dot, 1, act)).await;
        let mut connection = relay(settings(&server)).open();
        let outcome = send_to(&mut connection, "ana@example.net").await;
        assert_eq!(
            outcome,
            Outcome::Accepted {
                reply: "250 2.0.0 kept".to_owned()
            }
        );
        assert!(
            is_accepted(&send_to(&mut connection, "bo@example.net").await),
            "the next goes over a new connection"
        );
        assert_eq!((server.accepted().len(), server.n_sessions()), (2, 2));
    }
}

#[tokio::test]
async fn replies_without_end_or_sense_are_bounded() {
    let ten_megabytes = [b"250-".as_slice(), &b"x".repeat(60), b"\r\n"].concat().repeat(160_000);
    for (act, ends_at_once) in [
        (Act::Flood(b"x".repeat(1000)), true),
        (Act::Flood(b"250-more\r\n".repeat(100)), true),
        (Act::SayAndClose(ten_megabytes), true),
        (say("HTTP/1.1 400 Bad Request"), true),
        (Act::Say(b"\xff\xfe\xfd\r\n".to_vec()), true),
        (
            Act::Trickle(b"250 a slow answer\r\n".repeat(100), Duration::from_millis(100)),
            false,
        ),
    ] {
        let server = SmtpServer::start(Script::default().fault(At::Rcpt, act)).await;
        let limits = if ends_at_once {
            Limits::capped(Duration::from_secs(20))
        } else {
            Limits::capped(LIMIT)
        };
        let began = Instant::now();
        let outcome = send_one(RelaySettings {
            limits,
            ..settings(&server)
        })
        .await;
        assert!(began.elapsed() < LIMIT + SLACK, "took {:?}", began.elapsed());
        let Outcome::TransientRelay {
            stage: Stage::Recipient,
            reply,
        } = outcome
        else {
            panic!("{outcome:?}");
        };
        assert!(reply.len() < 3000, "{} bytes are kept", reply.len());
    }
}

#[tokio::test]
async fn a_refusal_that_is_not_utf8_keeps_its_meaning() {
    let act = Act::Say(b"550 5.1.1 caf\xe9 \x1b[31m\r\n".to_vec());
    let server = SmtpServer::start(Script::default().fault(At::Rcpt, act)).await;
    let expected = Outcome::PermanentRecipient {
        stage: Stage::Recipient,
        reply: "550 5.1.1 caf\u{fffd} [31m".to_owned(),
        no_such_mailbox: true,
    };
    assert_eq!(send_one(settings(&server)).await, expected);
}

/// CASES 105.
#[tokio::test]
async fn one_refused_recipient_does_not_stop_the_next_on_the_same_session() {
    for extensions in [&[][..], &["PIPELINING"][..]] {
        for refusal in [
            "450 4.7.1 Greylisted, try again in 300 seconds",
            "550 5.1.1 No such user",
        ] {
            let script = Script::default().extensions(extensions).wants_rset().fault_for(
                At::Rcpt,
                "bad@example.net",
                say(refusal),
            );
            let server = SmtpServer::start(script).await;
            let mut connection = relay(settings(&server)).open();
            assert!(is_accepted(&send_to(&mut connection, "ana@example.net").await));
            match send_to(&mut connection, "bad@example.net").await {
                Outcome::TransientRecipient {
                    stage: Stage::Recipient,
                    reply,
                } if refusal.starts_with('4') => {
                    assert_eq!(reply, refusal);
                }
                Outcome::PermanentRecipient {
                    no_such_mailbox: true,
                    reply,
                    ..
                } => assert_eq!(reply, refusal),
                other => panic!("{other:?}"),
            }
            assert!(is_accepted(&send_to(&mut connection, "bo@example.net").await));
            assert_eq!((server.n_sessions(), server.accepted().len()), (1, 2));
            assert_eq!(server.commands("RSET").len(), 1);
        }
    }
}

#[tokio::test]
async fn a_refused_sender_or_message_leaves_the_session_in_step() {
    for extensions in [&[][..], &["PIPELINING"][..]] {
        for at in [At::Mail, At::Data, At::Dot] {
            let script = Script::default()
                .extensions(extensions)
                .wants_rset()
                .fault_times(at, 1, say("554 5.6.0 no"));
            let server = SmtpServer::start(script).await;
            let mut connection = relay(settings(&server)).open();
            let outcome = send_to(&mut connection, "ana@example.net").await;
            assert!(
                matches!(outcome, Outcome::PermanentMessage { .. }),
                "{at:?} gave {outcome:?}"
            );
            assert!(is_accepted(&send_to(&mut connection, "bo@example.net").await));
            assert_eq!((server.n_sessions(), server.accepted().len()), (1, 1), "{at:?}");
        }
    }
}

/// CASES 104.
#[tokio::test]
async fn eight_messages_reach_a_relay_that_closes_after_five() {
    for extensions in [&[][..], &["PIPELINING"][..]] {
        for act in [
            Act::Close,
            Act::SayAndClose(b"421 4.7.0 too many messages\r\n".to_vec()),
        ] {
            let script = Script::default().extensions(extensions).messages_per_connection(5, act);
            let server = SmtpServer::start(script).await;
            let mut connection = relay(settings(&server)).open();
            for n in 1..=8 {
                assert!(is_accepted(
                    &send_to(&mut connection, &format!("n{n}@example.net")).await
                ));
            }
            let recipients: Vec<String> = server.accepted().into_iter().map(|message| message.recipient).collect();
            let expected: Vec<String> = (1..=8).map(|n| format!("n{n}@example.net")).collect();
            assert_eq!(recipients, expected, "each exactly once");
            assert_eq!(server.n_sessions(), 2);
        }
    }
}

#[tokio::test]
async fn a_connection_is_renewed_after_its_share_of_messages() {
    let server = SmtpServer::start(Script::default()).await;
    let mut connection = relay(settings(&server)).open();
    for _ in 0..=MESSAGES_PER_CONNECTION_MAX {
        assert!(is_accepted(&send_to(&mut connection, "ana@example.net").await));
    }
    assert_eq!((server.n_sessions(), server.commands("QUIT").len()), (2, 1));
}

#[tokio::test]
async fn a_closing_relay_is_no_fault_of_the_recipient() {
    for at in [At::Greeting, At::Ehlo, At::Mail, At::Rcpt, At::Data, At::Dot] {
        let server = SmtpServer::start(Script::default().fault(at, say("421 4.3.2 shutting down"))).await;
        let outcome = send_one(settings(&server)).await;
        assert!(
            matches!(outcome, Outcome::TransientRelay { .. }),
            "{at:?} gave {outcome:?}"
        );
    }
}

#[tokio::test]
async fn the_attempt_is_recorded_between_recipient_and_data() {
    let server = SmtpServer::start(Script::default().fault_for(At::Rcpt, "bad@example.net", say("550 5.1.1 no"))).await;
    let mut connection = relay(settings(&server)).open();
    let n_recorded = Cell::new(0);
    let record = || async {
        assert!(server.commands("RCPT").len() > server.commands("DATA").len());
        n_recorded.set(n_recorded.get() + 1);
        Ok::<(), &str>(())
    };
    let envelope = |recipient| Envelope::new("papers@example.org", recipient).unwrap();
    assert!(is_accepted(
        &connection
            .send(&envelope("ana@example.net"), MESSAGE, record())
            .await
            .unwrap()
    ));
    assert_eq!(n_recorded.get(), 1);
    connection
        .send(&envelope("bad@example.net"), MESSAGE, record())
        .await
        .unwrap();
    assert_eq!(n_recorded.get(), 1, "nothing is recorded for a refused recipient");
    let failed = connection
        .send(&envelope("bo@example.net"), MESSAGE, async { Err("the disk is full") })
        .await;
    assert_eq!(failed, Err("the disk is full"));
    assert_eq!(server.accepted().len(), 1, "what cannot be recorded is not sent");
    assert!(is_accepted(&send_to(&mut connection, "cy@example.net").await));
    assert_eq!(server.n_sessions(), 1);
}

#[tokio::test]
async fn a_recorded_attempt_whose_connection_was_stale_is_recorded_once() {
    let server = SmtpServer::start(Script::default().fault_for(At::Data, "bo@example.net", Act::Close)).await;
    let mut connection = relay(settings(&server)).open();
    assert!(is_accepted(&send_to(&mut connection, "ana@example.net").await));
    let n_recorded = Cell::new(0);
    let envelope = Envelope::new("papers@example.org", "bo@example.net").unwrap();
    let record = async {
        n_recorded.set(n_recorded.get() + 1);
        Ok::<(), Infallible>(())
    };
    let outcome = connection.send(&envelope, MESSAGE, record).await.unwrap();
    assert!(
        matches!(outcome, Outcome::TransientRelay { stage: Stage::Data, .. }),
        "{outcome:?}"
    );
    assert_eq!(
        (n_recorded.get(), server.n_sessions()),
        (1, 2),
        "one free try over a new connection, not more"
    );
}

#[tokio::test]
async fn a_send_that_is_dropped_half_way_leaves_no_session_behind() {
    let server = SmtpServer::start(Script::default().fault_times(At::Dot, 1, Act::Hang)).await;
    let mut connection = relay(settings(&server)).open();
    let cut = tokio::time::timeout(LIMIT, send_to(&mut connection, "ana@example.net")).await;
    assert!(cut.is_err());
    assert!(is_accepted(&send_to(&mut connection, "bo@example.net").await));
    assert_eq!((server.n_sessions(), server.accepted().len()), (2, 1));
}

#[tokio::test]
async fn a_message_over_the_relays_size_is_not_offered() {
    let server = SmtpServer::start(Script::default().extensions(&["SIZE 20"])).await;
    let outcome = send_one(settings(&server)).await;
    assert!(
        matches!(&outcome, Outcome::PermanentMessage { reply, .. } if reply.contains("20 at most")),
        "{outcome:?}"
    );
    assert!(server.commands("MAIL").is_empty());
}

/// CASES 88, 89.
#[tokio::test]
async fn addresses_outside_ascii_are_encoded_or_refused_without_asking() {
    let server = SmtpServer::start(Script::default()).await;
    let mut connection = relay(settings(&server)).open();
    assert!(is_accepted(&send_to(&mut connection, "k@bücher.example").await));
    assert_eq!(server.accepted()[0].recipient, "k@xn--bcher-kva.example");
    let outcome = send_to(&mut connection, "käthe@example.net").await;
    assert!(
        matches!(&outcome, Outcome::PermanentRecipient { no_such_mailbox: false, reply, .. } if reply.contains("SMTPUTF8"))
    );
    assert!(is_accepted(&send_to(&mut connection, "bo@example.net").await));
    assert_eq!((server.n_sessions(), server.commands("RCPT").len()), (1, 2));

    let server = SmtpServer::start(Script::default().extensions(&["smtputf8"])).await;
    let mut connection = relay(settings(&server)).open();
    assert!(is_accepted(&send_to(&mut connection, "käthe@example.net").await));
    assert!(server.commands("MAIL")[0].ends_with("SMTPUTF8"));
}

/// CASES 92.
#[tokio::test]
async fn a_refused_ehlo_names_the_setting() {
    let refusal = say("504 5.5.2 <vm>: Helo command rejected: need fully-qualified hostname");
    let server = SmtpServer::start(Script::default().fault(At::Ehlo, refusal)).await;
    assert_configuration(&send_one(settings(&server)).await, Stage::Hello, &["504", "mail.hello"]);
}

#[tokio::test]
async fn every_login_that_the_relay_offers_works() {
    for (offered, auth) in [
        ("AUTH LOGIN PLAIN", AuthChoice::Auto),
        ("AUTH LOGIN", AuthChoice::Auto),
        ("AUTH XOAUTH2", AuthChoice::Auto),
        ("AUTH PLAIN LOGIN", AuthChoice::Login),
        ("AUTH PLAIN XOAUTH2", AuthChoice::Xoauth2),
        ("auth=plain", AuthChoice::Plain),
    ] {
        let server = SmtpServer::start(Script::default().extensions(&[offered]).account("papers", PASSWORD)).await;
        let outcome = send_one(RelaySettings {
            login: login(auth),
            ..settings(&server)
        })
        .await;
        assert!(is_accepted(&outcome), "{offered}: {outcome:?}");
        assert_eq!(server.commands("AUTH").len(), 1);
    }
}

/// CASES 98.
#[tokio::test]
async fn a_login_that_the_relay_does_not_offer_is_explained() {
    for (offered, auth, words) in [
        (
            &["AUTH XOAUTH2"][..],
            AuthChoice::Plain,
            &["XOAUTH2", "mail.auth", "switched"][..],
        ),
        (&["AUTH CRAM-MD5"][..], AuthChoice::Auto, &["CRAM-MD5", "mail.auth"][..]),
        (&[][..], AuthChoice::Auto, &["offers no login"][..]),
    ] {
        let server = SmtpServer::start(Script::default().extensions(offered).account("papers", PASSWORD)).await;
        let outcome = send_one(RelaySettings {
            login: login(auth),
            ..settings(&server)
        })
        .await;
        assert_configuration(&outcome, Stage::Auth, words);
        assert!(server.commands("AUTH").is_empty());
    }
}

/// CASES 99.
#[tokio::test]
async fn a_refused_login_is_tried_once_for_all_messages_and_connections() {
    for (offered, words) in [
        ("AUTH PLAIN", "app password"),
        ("AUTH LOGIN", "app password"),
        ("AUTH XOAUTH2", "access token"),
    ] {
        let server = SmtpServer::start(Script::default().extensions(&[offered]).account("papers", "another")).await;
        let relay = relay(RelaySettings {
            login: login(AuthChoice::Auto),
            ..settings(&server)
        });
        let (mut one, mut two) = (relay.open(), relay.open());
        let (first, second) = tokio::join!(
            send_to(&mut one, "ana@example.net"),
            send_to(&mut two, "bo@example.net")
        );
        let third = send_to(&mut one, "cy@example.net").await;
        for outcome in [first, second, third] {
            assert_configuration(&outcome, Stage::Auth, &["535 5.7.8", words]);
        }
        assert_eq!(server.commands("AUTH").len(), 1, "{offered}");
        relay.allow_login().await;
        send_to(&mut two, "ana@example.net").await;
        assert_eq!(server.commands("AUTH").len(), 2);
    }
}

#[tokio::test]
async fn a_relay_that_repeats_the_password_does_not_spread_it() {
    use base64::Engine as _;
    let blob = base64::engine::general_purpose::STANDARD.encode(format!("\0papers\0{PASSWORD}"));
    let refusal = say(&format!("535 5.7.8 wrong: {PASSWORD} in {blob}"));
    let script = Script::default().extensions(&["AUTH PLAIN"]).fault(At::Auth, refusal);
    let server = SmtpServer::start(script).await;
    let mut connection = relay(RelaySettings {
        login: login(AuthChoice::Auto),
        ..settings(&server)
    })
    .open();
    let outcome = send_to(&mut connection, "ana@example.net").await;
    assert_configuration(&outcome, Stage::Auth, &["wrong: [hidden] in [hidden]"]);
    let everything = format!("{connection:?} {:?}", connection.dialogue_in_words());
    assert!(
        !everything.contains(PASSWORD) && !everything.contains(&blob),
        "{everything}"
    );
}

#[tokio::test]
async fn both_kinds_of_tls_deliver_and_keep_the_password_hidden() {
    let authority = Authority::new();
    for mode in [TlsMode::Starttls, TlsMode::Implicit] {
        let identity = authority.issue("localhost");
        let encryption = match mode {
            TlsMode::Starttls => Encryption::Starttls(identity),
            _ => Encryption::Implicit(identity),
        };
        let script = Script::default()
            .extensions(&["AUTH PLAIN", "PIPELINING"])
            .account("papers", PASSWORD);
        let server = SmtpServer::start(script.encryption(encryption)).await;
        let settings = RelaySettings {
            host: "localhost".to_owned(),
            tls: mode,
            ca_file: Some(authority.ca_file()),
            login: login(AuthChoice::Auto),
            ..settings(&server)
        };
        let relay = relay(settings);
        let mut connection = relay.open();
        assert!(is_accepted(&send_to(&mut connection, "ana@example.net").await));
        assert!(is_accepted(&send_to(&mut connection, "bo@example.net").await));
        connection.close().await;
        assert_eq!((server.n_sessions(), server.commands("AUTH").len()), (1, 1));
        let clear = server.said_in_the_clear();
        assert!(
            clear.iter().all(|line| line.starts_with("EHLO") || line == "STARTTLS"),
            "{clear:?}"
        );

        let steps = relay.probe().await.expect("the relay works");
        let text = steps.join("\n");
        for word in [
            "connect: 127.0.0.1",
            "TLS: TLS 1.3",
            "EHLO: 250",
            "login: 235",
            "QUIT: 221",
            " ms)",
        ] {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
        assert_eq!(server.accepted().len(), 2, "a probe sends nothing");
    }
}

/// CASES 101.
#[tokio::test]
async fn a_certificate_that_cannot_be_trusted_is_explained_and_nothing_is_said() {
    let authority = Authority::new();
    let other = Authority::new();
    for (identity, words) in [
        (
            authority.issue("relay.example.org"),
            &["not for localhost", "mail.host", "relay.example.org"][..],
        ),
        (authority.issue_expired("localhost"), &["expired"][..]),
        (
            other.issue("localhost"),
            &["not signed by an authority in", "mail.ca_file"][..],
        ),
        (Identity::self_signed("localhost"), &["mail.ca_file"][..]),
    ] {
        for mode in [TlsMode::Starttls, TlsMode::Implicit] {
            let encryption = match mode {
                TlsMode::Starttls => Encryption::Starttls(identity.clone()),
                _ => Encryption::Implicit(identity.clone()),
            };
            let server = SmtpServer::start(Script::default().extensions(&["AUTH PLAIN"]).encryption(encryption)).await;
            let outcome = send_one(RelaySettings {
                host: "localhost".to_owned(),
                tls: mode,
                ca_file: Some(authority.ca_file()),
                login: login(AuthChoice::Auto),
                ..settings(&server)
            })
            .await;
            assert_configuration(&outcome, Stage::Tls, words);
            assert!(server.commands("AUTH").is_empty() && server.commands("MAIL").is_empty());
        }
    }
}

#[tokio::test]
async fn an_authority_that_the_system_does_not_know_leads_to_ca_file() {
    let server =
        SmtpServer::start(Script::default().encryption(Encryption::Implicit(Authority::new().issue("localhost"))))
            .await;
    let with_system_roots = Relay::new(RelaySettings {
        host: "localhost".to_owned(),
        tls: TlsMode::Implicit,
        ..settings(&server)
    });
    match with_system_roots {
        Ok(relay) => {
            let outcome = send_to(&mut relay.open(), "ana@example.net").await;
            assert_configuration(&outcome, Stage::Tls, &["does not know", "mail.ca_file"]);
        }
        // A machine without any trusted certificates.
        Err(error) => assert!(
            std::error::Error::source(&error)
                .expect("a cause")
                .to_string()
                .contains("mail.ca_file")
        ),
    }
}

/// CASES 97.
#[tokio::test]
async fn stripped_starttls_is_refused_and_nothing_is_sent_in_the_clear() {
    let authority = Authority::new();
    let with = |server: &SmtpServer| RelaySettings {
        host: "localhost".to_owned(),
        tls: TlsMode::Starttls,
        ca_file: Some(authority.ca_file()),
        login: login(AuthChoice::Auto),
        ..settings(server)
    };
    let server = SmtpServer::start(Script::default().extensions(&["AUTH PLAIN LOGIN"])).await;
    assert_configuration(&send_one(with(&server)).await, Stage::Tls, &["no STARTTLS", "mail.tls"]);
    assert!(server.commands("AUTH").is_empty() && server.commands("MAIL").is_empty());

    let encryption = Encryption::Starttls(authority.issue("localhost"));
    let injected = Act::Say(b"220 go\r\n250 AUTH PLAIN\r\n".to_vec());
    let script = Script::default()
        .encryption(encryption.clone())
        .fault(At::Starttls, injected);
    let server = SmtpServer::start(script).await;
    let outcome = send_one(with(&server)).await;
    assert!(
        matches!(outcome, Outcome::TransientRelay { stage: Stage::Tls, .. }),
        "{outcome:?}"
    );

    let busy = say("454 4.7.0 TLS not available");
    let server = SmtpServer::start(
        Script::default()
            .encryption(encryption.clone())
            .fault(At::Starttls, busy),
    )
    .await;
    let outcome = send_one(with(&server)).await;
    assert!(
        matches!(outcome, Outcome::TransientRelay { stage: Stage::Tls, .. }),
        "{outcome:?}"
    );

    let cut = Script::default()
        .encryption(encryption.clone())
        .fault(At::Handshake, Act::Close);
    let outcome = send_one(with(&SmtpServer::start(cut).await)).await;
    assert!(
        matches!(outcome, Outcome::TransientRelay { stage: Stage::Tls, .. }),
        "{outcome:?}"
    );

    let silent = Script::default().encryption(encryption).fault(At::Handshake, Act::Hang);
    let server = SmtpServer::start(silent).await;
    let outcome = send_one(RelaySettings {
        limits: Limits::capped(LIMIT),
        ..with(&server)
    })
    .await;
    assert!(
        matches!(outcome, Outcome::TransientRelay { stage: Stage::Tls, .. }),
        "{outcome:?}"
    );
    assert!(
        server
            .said_in_the_clear()
            .iter()
            .all(|line| line.starts_with("EHLO") || line == "STARTTLS")
    );
}

/// CASES 96.
#[tokio::test]
async fn implicit_tls_on_a_plain_port_names_the_setting_within_seconds() {
    let authority = Authority::new();
    let server = SmtpServer::start(Script::default()).await;
    let began = Instant::now();
    let outcome = send_one(RelaySettings {
        host: "localhost".to_owned(),
        tls: TlsMode::Implicit,
        ca_file: Some(authority.ca_file()),
        ..settings(&server)
    })
    .await;
    assert_configuration(&outcome, Stage::Tls, &["does not speak TLS", "mail.tls", "starttls"]);
    assert!(began.elapsed() < SLACK);
}

#[tokio::test]
async fn a_relay_that_is_away_or_has_no_name_is_a_passing_fault() {
    let server = SmtpServer::start(Script::default()).await;
    let away = settings(&server);
    drop(server);
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let outcome = send_one(RelaySettings {
        port: gone,
        ..away.clone()
    })
    .await;
    assert!(
        matches!(&outcome, Outcome::TransientRelay { stage: Stage::Connect, reply } if reply.contains("nobody answers"))
    );
    let outcome = send_one(RelaySettings {
        host: "relay.invalid".to_owned(),
        limits: Limits::capped(SLACK),
        ..away
    })
    .await;
    assert!(
        matches!(
            &outcome,
            Outcome::TransientRelay {
                stage: Stage::Connect,
                ..
            }
        ),
        "{outcome:?}"
    );
}

/// CASES 103.
#[tokio::test]
async fn a_dead_first_address_falls_back() {
    // The server listens on 127.0.0.1 only; where localhost is ::1 first, that address is dead.
    let server = SmtpServer::start(Script::default()).await;
    let began = Instant::now();
    assert!(is_accepted(
        &send_one(RelaySettings {
            host: "localhost".to_owned(),
            ..settings(&server)
        })
        .await
    ));
    assert!(began.elapsed() < SLACK);
}

#[tokio::test]
async fn a_probe_that_fails_tells_how_far_it_came() {
    let script = Script::default()
        .extensions(&["AUTH PLAIN"])
        .account("papers", "another");
    let server = SmtpServer::start(script).await;
    let relay = relay(RelaySettings {
        login: login(AuthChoice::Auto),
        ..settings(&server)
    });
    let error = relay.probe().await.unwrap_err();
    assert_configuration(&error.outcome, Stage::Auth, &["app password"]);
    assert_eq!(error.steps.len(), 4, "{:?}", error.steps);
    assert!(
        error.steps[3].starts_with("login: the relay answered 535 5.7.8 not accepted"),
        "{:?}",
        error.steps
    );
    assert!(error.to_string().contains("app password"));
}

#[tokio::test]
async fn sending_can_move_to_another_thread() {
    let server = SmtpServer::start(Script::default()).await;
    let mut connection = relay(settings(&server)).open();
    let sent = tokio::spawn(async move { send_to(&mut connection, "ana@example.net").await });
    assert!(is_accepted(&sent.await.unwrap()));
}
