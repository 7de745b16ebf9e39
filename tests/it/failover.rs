//! Several relays: when one fails for all mails the next takes them, one after the other and each mail once.

use std::time::Duration;

use paperround::{
    admin::{self, Command},
    app::Exit,
    model::{Attempt, Outcome},
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    app::{Setup, TestApp},
    papers::paper,
    smtp::{Act, At, Script, SmtpServer, say},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const CY: &str = "cy@example.net";
const GNN: &str = "graph neural network";

/// Three readers, two relays, and two papers announced on 9 February.
async fn two_relays() -> (TestApp, SmtpServer, Vec<String>) {
    let second = SmtpServer::start(Script::default()).await;
    let table = format!(
        "[[mail.relay]]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nstage_timeout_max = \"2m\"",
        second.port
    );
    let setup = Setup::new().mail("connections", "1").section(&table);
    let app = [ANA, BO, CY]
        .iter()
        .fold(setup, |setup, person| setup.subscriber(person, &[GNN]))
        .start()
        .await;
    let ids = app.announce(
        "2026-02-09",
        [
            paper("A graph neural network for molecules"),
            paper("A graph neural network for roads"),
        ],
    );
    (app, second, ids)
}

/// Whom the relay has mails for, by address: several connections bring them in no certain order.
fn recipients(relay: &SmtpServer) -> Vec<String> {
    let mut recipients: Vec<String> = relay.accepted().into_iter().map(|message| message.recipient).collect();
    recipients.sort();
    recipients
}

async fn status(app: &mut TestApp) -> (String, serde_json::Value) {
    let program = app.build().await;
    let words = admin::execute(&program, &Command::Status { json: false }).await.output;
    let json = admin::execute(&program, &Command::Status { json: true }).await.output;
    (words, serde_json::from_str(&json).expect("it is JSON"))
}

async fn attempts(app: &mut TestApp, email: &str) -> Vec<Attempt> {
    let entries = app.outbox().await;
    let own = entries.into_iter().find(|entry| entry.digest.address == email);
    own.expect("there is a digest").attempts
}

/// A port at which nobody listens.
fn dead_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}

/// The first relay is as `script` and `change` say; the second takes all mails, each once, and everyone can see why.
async fn the_second_takes_all(script: Script, change: fn(Setup) -> Setup, why: &str) -> SmtpServer {
    let (mut app, second, ids) = two_relays().await;
    app.smtp.behaves(script);
    app.reconfigure(change);
    let report = app.run_on("2026-02-10").await;
    assert_eq!((report.accepted, report.retrying, report.failed), (3, 0, 0), "{why}");
    assert!(report.is_complete());
    assert_eq!(recipients(&second), [ANA, BO, CY], "{why}");
    assert_eq!(app.mails(), [], "{why}");
    let (words, json) = status(&mut app).await;
    let second_name = format!("127.0.0.1:{}", second.port);
    assert!(words.contains(why), "{why} is not in {words}");
    assert!(
        words.contains(&format!("{second_name}  takes mail, as far as is known")),
        "{words}"
    );
    assert_eq!(json["well"], false);
    assert_eq!(json["relays"][1]["name"], second_name.as_str());
    assert_eq!(json["relays"][0]["trouble"]["n_rests"], 1);
    let first_of_all = attempts(&mut app, ANA).await;
    let relays: Vec<_> = first_of_all.iter().map(|attempt| attempt.relay.clone()).collect();
    assert_eq!(relays.len(), 2, "{first_of_all:?}");
    assert_eq!(relays[1].as_deref(), Some(second_name.as_str()));
    assert!(matches!(first_of_all[1].outcome, Outcome::Accepted { .. }));
    assert_eq!(
        attempts(&mut app, CY).await.len(),
        1,
        "the first is left alone once it has failed"
    );
    for email in [ANA, BO, CY] {
        let seen = app.state_of(email).await.seen.len();
        assert_eq!(seen, ids.len(), "{email}");
    }
    // Nothing is left over for the next day.
    app.run_on("2026-02-11").await;
    assert_eq!(second.accepted().len(), 3);
    second
}

#[tokio::test]
async fn a_relay_that_refuses_connections_is_passed_over() {
    the_second_takes_all(
        Script::default(),
        |setup| setup.mail("port", &dead_port().to_string()),
        "the relay failed at connecting",
    )
    .await;
}

#[tokio::test]
async fn a_silent_relay_is_passed_over() {
    the_second_takes_all(
        Script::default().fault(At::Greeting, Act::Hang),
        |setup| setup.mail("stage_timeout_max", "\"300ms\""),
        "the relay failed at the greeting",
    )
    .await;
}

#[tokio::test]
async fn a_relay_that_shuts_down_is_passed_over() {
    the_second_takes_all(
        Script::default().fault(At::Greeting, say("421 4.3.2 shutting down")),
        |setup| setup,
        "421 4.3.2 shutting down",
    )
    .await;
}

#[tokio::test]
async fn a_relay_that_refuses_the_login_is_passed_over() {
    let script = Script::default().extensions(&["AUTH PLAIN"]).account("papers", "other");
    the_second_takes_all(
        script,
        |setup| setup.mail("username", "\"papers\"").mail("password", "\"wrong\""),
        "535 5.7.8",
    )
    .await;
}

/// A quota is the relay's, not the addressee's: another relay may have room.
#[tokio::test]
async fn a_relay_whose_quota_is_used_up_is_passed_over() {
    the_second_takes_all(
        Script::default().fault(At::Rcpt, say("550 5.4.5 Daily sending quota exceeded")),
        |setup| setup,
        "550 5.4.5",
    )
    .await;
}

/// The relay has agreed to the recipient and its agreement is on the disk, and only then does it fail.
#[tokio::test]
async fn a_relay_that_fails_before_the_final_dot_is_passed_over() {
    let (mut app, second, ids) = two_relays().await;
    app.smtp
        .behaves(Script::default().fault(At::Data, say("421 4.3.0 out of disk")));
    assert!(app.run_on("2026-02-10").await.is_complete());
    assert_eq!(recipients(&second), [ANA, BO, CY]);
    assert_eq!(app.state_of(ANA).await.seen.len(), ids.len());
}

#[tokio::test]
async fn what_a_relay_says_of_one_recipient_or_message_is_not_asked_elsewhere() {
    for refusal in [
        say("550 5.1.1 No such user"),
        say("451 4.7.1 Greylisted, try again in 300 seconds"),
        say("554 5.7.1 looks like spam"),
    ] {
        let (mut app, second, _) = two_relays().await;
        app.smtp.behaves(Script::default().fault_for(At::Rcpt, BO, refusal));
        let report = app.run_on("2026-02-10").await;
        assert_eq!(report.accepted, 2);
        assert_eq!(second.n_sessions(), 0);
        assert_eq!(recipients(&app.smtp), [ANA, CY]);
        let (_, json) = status(&mut app).await;
        assert_eq!(json["relays"][0]["trouble"], serde_json::Value::Null);
    }
}

/// The process dies while the second relay is silent after the first has failed.
#[tokio::test]
async fn a_kill_between_two_relays_loses_and_repeats_nothing() {
    let (mut app, second, ids) = two_relays().await;
    app.smtp
        .behaves(Script::default().fault(At::Greeting, say("421 4.3.2 shutting down")));
    second.behaves(Script::default().fault(At::Greeting, Act::Hang));
    app.it_is("2026-02-10");
    let program = app.build().await;
    let stop = CancellationToken::new();
    let killed = async {
        while second.n_sessions() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        report = admin::run_everyone(&program, &stop) => panic!("the second hangs: {report:?}"),
        () = killed => {}
    }
    drop(program);
    app.end_process();
    let known = attempts(&mut app, ANA).await;
    assert!(
        matches!(
            known[..],
            [Attempt {
                outcome: Outcome::TransientRelay { .. },
                ..
            }]
        ),
        "what the first said is on the disk before the second is dialled: {known:?}"
    );
    second.behaves(Script::default());
    app.run_on("2026-02-10T07:05:00Z").await;
    app.run_on("2026-02-11").await;
    let mut got = recipients(&second);
    got.extend(recipients(&app.smtp));
    got.sort();
    assert_eq!(got, [ANA, BO, CY]);
    for email in [ANA, BO, CY] {
        assert_eq!(app.state_of(email).await.seen.len(), ids.len(), "{email}");
    }
}

/// The first relay dies after the final dot, and with it the word whether it has the mail.
#[tokio::test]
async fn an_unconfirmed_mail_goes_again_byte_for_byte_through_the_other_relay() {
    let (mut app, second, _) = two_relays().await;
    app.smtp
        .behaves(Script::default().fault_for(At::Dot, ANA, Act::KeepAndClose));
    app.it_is("2026-02-10");
    let program = app.build().await;
    let stop = CancellationToken::new();
    // In the second before the run tries again the first relay goes down for good.
    let (report, ()) = tokio::join!(admin::run_everyone(&program, &stop), async {
        while app.smtp.accepted().len() < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(second.n_sessions(), 0, "never through two at once");
        app.smtp.behaves(
            Script::default()
                .fault(At::Greeting, say("421 4.3.2 shutting down"))
                .fault(At::Mail, Act::Close),
        );
    });
    assert!(report.expect("the store works").is_complete());
    assert_eq!(recipients(&app.smtp), [ANA, BO, CY]);
    assert_eq!(recipients(&second), [ANA]);
    let once = app.smtp.accepted();
    let once = once
        .iter()
        .find(|message| message.recipient == ANA)
        .expect("it is there");
    assert_eq!(second.accepted()[0].bytes, once.bytes);
}

#[tokio::test]
async fn mails_go_back_to_the_first_relay_when_it_is_well_again() {
    let (mut app, second, _) = two_relays().await;
    app.smtp
        .behaves(Script::default().fault(At::Greeting, say("421 4.3.2 shutting down")));
    app.run_on("2026-02-10").await;
    app.smtp.behaves(Script::default());
    app.announce("2026-02-10", [paper("A graph neural network for proteins")]);
    assert!(app.run_on("2026-02-11").await.is_complete());
    assert_eq!(recipients(&app.smtp), [ANA, BO, CY]);
    assert_eq!(recipients(&second), [ANA, BO, CY], "those of the day before");
    let (words, json) = status(&mut app).await;
    assert_eq!(json["relays"][0]["trouble"], serde_json::Value::Null);
    assert!(words.starts_with("All is well"), "{words}");
}

#[tokio::test]
async fn while_both_relays_are_down_everything_waits() {
    let (mut app, second, ids) = two_relays().await;
    let down = || Script::default().fault(At::Greeting, say("421 4.3.2 shutting down"));
    app.smtp.behaves(down());
    second.behaves(down());
    let report = app.run_on("2026-02-10").await;
    assert_eq!((report.accepted, report.failed, report.retrying), (0, 0, 3));
    assert!(!report.is_complete());
    second.behaves(Script::default());
    assert!(app.run_on("2026-02-11").await.is_complete());
    assert_eq!(recipients(&second), [ANA, BO, CY]);
    assert_eq!(app.state_of(BO).await.seen.len(), ids.len());
}

#[tokio::test]
async fn a_check_tries_every_relay_and_a_test_mail_takes_the_first_that_works() {
    let (mut app, second, _) = two_relays().await;
    app.reconfigure(|setup| setup.mail("port", &dead_port().to_string()));
    let program = app.build().await;
    let reply = admin::execute(
        &program,
        &Command::Probe {
            config: app.config_path(),
        },
    )
    .await;
    let second_name = format!("127.0.0.1:{}", second.port);
    assert_eq!(reply.exit, Exit::Failed);
    assert!(
        reply.output.contains(&format!("ok      mail through {second_name}")),
        "{}",
        reply.output
    );
    assert!(
        reply
            .problems
            .iter()
            .any(|problem| problem.starts_with("mail through 127.0.0.1:")),
        "{:?}",
        reply.problems
    );
    let address = "eva@example.net".to_owned();
    let reply = admin::execute(&program, &Command::TestMail { address }).await;
    assert_eq!(reply.exit, Exit::Done, "{:?}", reply.problems);
    assert!(reply.output.contains(&format!("{second_name}: ")), "{}", reply.output);
    assert_eq!(recipients(&second), ["eva@example.net"]);
}
