//! The web part: leaving at once and for good, links that allow only what they say, and no way to disturb a delivery.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use paperround::{
    admin::{self, Command},
    app::App,
    delivery,
    model::{
        ArxivId, DigestId, EntryState, OutboxEntry, SubscriberId, SubscriberState, Suppression, SuppressionReason,
        VersionedId, WorkerId,
    },
    roster,
    store::{Batch, Document, DocumentKind, DueBy, EntryFilter, Store, StoreError, StoredPaper, Versioned, documents},
    token::{Keys, Scope},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::{
    architecture::files_below,
    harness::{
        app::{Mail, Setup, TestApp},
        papers::{instant, paper},
        program::{self, Serving},
        smtp::{Act, At, Script},
        web::{Answer, Web},
    },
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const LIST: &str = "list@example.net";
const GNN: &str = "graph neural network";
const ONE_CLICK: &str = "List-Unsubscribe=One-Click";

/// Ana, Bo and a list read one keyword; two papers were announced on 9 February.
async fn three_read() -> TestApp {
    let app = Setup::new()
        .mail("connections", "1")
        .section("[web]\nlisten = \"127.0.0.1:8025\"\npublic_url = \"https://papers.example.org\"\npage = true")
        .subscriber(ANA, &[GNN])
        .subscriber(BO, &[GNN])
        .subscriber_with(LIST, &[&format!("keywords = [{GNN:?}]"), "shared = true"])
        .start()
        .await;
    app.announce("2026-02-09", papers(2));
    app
}

fn papers(n: usize) -> Vec<crate::harness::papers::Paper> {
    (0..n)
        .map(|i| paper(&format!("A graph neural network, part {i} <script>alert(1)</script>")))
        .collect()
}

fn keys(app: &App) -> &Keys {
    &app.delivery.composer.keys
}

fn leave_path(app: &App, id: &str) -> String {
    format!("/u/{}", keys(app).sign(Scope::Unsubscribe, &SubscriberId(id.into())))
}

fn digest_path(app: &App, id: &str, number: u32) -> String {
    let digest = DigestId {
        subscriber: SubscriberId(id.into()),
        number,
    };
    format!("/d/{}", keys(app).sign_digest(Scope::View, &digest))
}

fn feed_path(app: &App, id: &str) -> String {
    format!("/s/{}.atom", keys(app).sign(Scope::Feed, &SubscriberId(id.into())))
}

async fn reason(app: &mut TestApp, address: &str) -> Option<SuppressionReason> {
    let store = app.store().await;
    let all = roster::suppressions(&*store).await.expect("the store reads");
    all.get(address).map(|suppression| suppression.reason)
}

/// One turn of the pump at that moment, without a run.
async fn pump(program: &App, moment: &str) -> delivery::Delivered {
    delivery::deliver(&program.delivery, instant(moment), &CancellationToken::new())
        .await
        .expect("the store works")
}

fn mails_to(app: &TestApp, address: &str) -> usize {
    app.mails().iter().filter(|mail| mail.to == address).count()
}

/// Check 7 of the mail checks: one click in both encodings, at once, twice harmless, no redirect, no cookie.
#[tokio::test]
async fn check_07_one_click_stops_the_mails_within_the_request_in_both_encodings() {
    let mut app = three_read().await;
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let path = leave_path(&web.app, ANA);
    for _ in 0..2 {
        let answer = web.post(&path, ONE_CLICK).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("location"), "");
        assert_eq!(answer.header("set-cookie"), "");
        assert!(answer.body.contains("You have left"), "{}", answer.body);
        assert_eq!(reason(&mut app, ANA).await, Some(SuppressionReason::Unsubscribed));
    }
    let multipart = "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n";
    let kind = "Content-Type: multipart/form-data; boundary=x\r\n";
    let line = format!("POST {} HTTP/1.1", leave_path(&web.app, BO));
    assert_eq!(web.ask(&line, kind, multipart).await.status, 200);
    assert_eq!(reason(&mut app, BO).await, Some(SuppressionReason::Unsubscribed));
    let text = web.get("/metrics").await.body;
    assert!(
        text.contains("paperround_reader_actions_total{action=\"leave\"} 2\n"),
        "{text}"
    );
}

/// Check 8: it wins over the configuration, whose file still names her, and `status` and `check` say so.
#[tokio::test]
async fn check_08_who_has_left_gets_nothing_more_and_the_operator_sees_why() {
    let mut app = three_read().await;
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let before = mails_to(&app, ANA);
    web.post(&leave_path(&web.app, ANA), ONE_CLICK).await;
    app.announce("2026-02-10", papers(2));
    app.run_on("2026-02-11").await;
    assert_eq!(mails_to(&app, ANA), before);
    assert_eq!(mails_to(&app, BO), 2);
    let program = app.build().await;
    let status = admin::execute(&program, &Command::Status { json: false }).await.output;
    assert!(
        status.contains("ana@example.net  unsubscribed since 2026-02-10"),
        "{status}"
    );
    let config = app.config_path();
    let check = admin::execute(&program, &Command::Check { config }).await.output;
    assert!(
        check.contains("ana@example.net: unsubscribed since 2026-02-10"),
        "{check}"
    );
    assert!(!check.contains("bo@example.net: unsubscribed"), "{check}");
}

#[tokio::test]
async fn check_07_looking_changes_nothing_however_often() {
    let mut app = three_read().await;
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let export = || admin::execute(&web.app, &Command::StateExport);
    let before = export().await.output;
    assert!(before.len() > 1_000, "{before}");
    let paths = [
        leave_path(&web.app, ANA),
        digest_path(&web.app, ANA, 1),
        feed_path(&web.app, ANA),
        "/".to_owned(),
    ];
    for path in &paths {
        for _ in 0..20 {
            assert_eq!(web.get(path).await.status, 200, "{path}");
            let head = web.ask(&format!("HEAD {path} HTTP/1.1"), "", "").await;
            assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        }
        for method in ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"] {
            let answer = web.ask(&format!("{method} {path} HTTP/1.1"), "", ONE_CLICK).await;
            assert_eq!(answer.status, 405, "{method} {path}");
        }
        // Query parameters ask for nothing either.
        web.get(&format!("{path}?action=leave&{ONE_CLICK}")).await;
    }
    // A POST that asks for nothing is told so.
    for body in ["", "action=forget", "List-Unsubscribe=no"] {
        assert_eq!(web.post(&paths[0], body).await.status, 400, "{body}");
    }
    assert_eq!(export().await.output, before);
}

#[tokio::test]
async fn check_07_every_bad_link_gets_the_same_answer() {
    let mut app = three_read().await;
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let good = leave_path(&web.app, ANA);
    let mut forged = good.clone();
    let last = forged.pop().expect("a token is not empty");
    forged.push(if last == 'a' { 'b' } else { 'a' });
    let stranger = Keys::parse("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("a key of zeros");
    let bad = [
        forged.as_str(),
        &leave_path(&web.app, "nobody@example.net"),
        // One member of a list must not act for all.
        &leave_path(&web.app, LIST),
        &format!("/u/{}", stranger.sign(Scope::Unsubscribe, &SubscriberId(ANA.into()))),
        // A link that shows does not act, and the other way round.
        &digest_path(&web.app, ANA, 1).replace("/d/", "/u/"),
        &feed_path(&web.app, ANA).replace("/s/", "/u/").replace(".atom", ""),
        &good.replace("/u/", "/d/"),
        &format!("{}.atom", good.replace("/u/", "/s/")),
        &feed_path(&web.app, ANA).replace(".atom", ""),
        &digest_path(&web.app, LIST, 1),
        "/u/",
        "/u/x",
        "/u/%2e%2e/healthz",
        &format!("/u/{}", "a".repeat(2_000)),
        "/wp-login.php",
        "/u/v1.a.b.c/d",
    ];
    let expected = web.get("/nothing").await;
    assert_eq!(expected.status, 404);
    for path in bad {
        assert_eq!(web.get(path).await, expected, "GET {path}");
        if path.starts_with("/u/") && path.len() > 4 && !path.ends_with("/d") && !path.contains("%2e") {
            assert_eq!(web.post(path, ONE_CLICK).await, expected, "POST {path}");
        }
    }
    for address in [ANA, BO, LIST] {
        assert_eq!(reason(&mut app, address).await, None, "{address}");
    }
    app.reconfigure(|setup| setup.without(ANA));
    let mut web = web;
    web.reload(&mut app).await;
    assert_eq!(web.post(&good, ONE_CLICK).await, expected);
}

/// Each differs from a good one in few places or is invented whole.
#[test]
fn no_forged_token_of_a_million_is_accepted() {
    let keys = Keys::parse("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("a key of zeros");
    let good = keys.sign(Scope::Unsubscribe, &SubscriberId(ANA.into()));
    let head = good.len() - 26;
    let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut chance = 0x9e37_79b9_7f4a_7c15_u64;
    let mut n_accepted = 0;
    for _ in 0..1_000_000 {
        let mut token = good.clone().into_bytes();
        let mut draw = |below: usize| {
            // xorshift64: any stream of numbers will do here.
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            usize::try_from(chance % below as u64).expect("a remainder is small")
        };
        let n_changes = 1 + draw(3);
        let (from, length) = if draw(2) == 0 { (head, 26) } else { (0, good.len()) };
        for _ in 0..n_changes {
            token[from + draw(length)] = alphabet[draw(32)];
        }
        if draw(4) == 0 {
            for place in &mut token[head..] {
                *place = alphabet[draw(32)];
            }
        }
        let token = String::from_utf8(token).expect("it is ASCII");
        n_accepted += u32::from(token != good && keys.verify(Scope::Unsubscribe, &token).is_ok());
    }
    assert_eq!(n_accepted, 0);
    assert!(keys.verify(Scope::Unsubscribe, &good).is_ok());
}

#[tokio::test]
async fn old_links_work_while_their_key_is_kept() {
    let mut app = three_read().await;
    let web = Web::start(&mut app).await;
    let path = leave_path(&web.app, ANA);
    let file = web.app.config.mail.token_key_file.clone();
    let old = std::fs::read_to_string(&file).expect("the key file was made");
    let new = "k2:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    std::fs::write(&file, format!("{new}{old}")).expect("it can be written");
    let mut web = web;
    web.reload(&mut app).await;
    assert_ne!(path, leave_path(&web.app, ANA));
    assert_eq!(web.get(&path).await.status, 200);
    assert_eq!(web.get(&leave_path(&web.app, ANA)).await.status, 200);
    std::fs::write(&file, new).expect("it can be written");
    web.reload(&mut app).await;
    assert_eq!(web.get(&path).await.status, 404);
    assert_eq!(web.get(&leave_path(&web.app, ANA)).await.status, 200);
}

#[tokio::test]
async fn leaving_can_be_taken_back_and_nothing_was_lost() {
    let mut app = three_read().await;
    let web = Web::start(&mut app).await;
    let path = leave_path(&web.app, ANA);
    web.post(&path, "action=leave").await;
    app.run_on("2026-02-10").await;
    assert_eq!(mails_to(&app, ANA), 0);
    let answer = web.post(&path, "action=undo").await;
    assert!(answer.body.contains("You are back"), "{}", answer.body);
    assert_eq!(reason(&mut app, ANA).await, None);
    app.run_on("2026-02-11").await;
    assert_eq!(app.papers_of(ANA).len(), 2);
}

/// What somebody else decided about the address is not the reader's to take back.
#[tokio::test]
async fn undo_does_not_lift_what_the_operator_said() {
    let mut app = three_read().await;
    let web = Web::start(&mut app).await;
    for (address, reason_before, after_leaving, after_undo) in [
        (
            ANA,
            SuppressionReason::Operator,
            Some(SuppressionReason::Operator),
            Some(SuppressionReason::Operator),
        ),
        (
            BO,
            SuppressionReason::SoftBounces,
            Some(SuppressionReason::Unsubscribed),
            None,
        ),
    ] {
        let suppression = Suppression {
            address: address.to_owned(),
            reason: reason_before,
            evidence: "a test".to_owned(),
            since: instant("2026-02-01"),
        };
        let written = documents::to_write(DocumentKind::Suppression, address, &Versioned::new(suppression));
        let batch = Batch {
            documents: vec![written.expect("it fits into JSON")],
            ..Batch::default()
        };
        app.store().await.commit(batch).await.expect("the store writes");
        let path = leave_path(&web.app, address);
        assert!(web.get(&path).await.body.contains("No digests are sent to you"));
        assert_eq!(web.post(&path, ONE_CLICK).await.status, 200);
        assert_eq!(reason(&mut app, address).await, after_leaving);
        assert_eq!(web.post(&path, "action=undo").await.status, 200);
        assert_eq!(reason(&mut app, address).await, after_undo);
    }
}

#[tokio::test]
async fn a_pause_holds_a_week_or_a_month_and_one_digest_follows() {
    let mut app = three_read().await;
    app.it_is("2026-02-10");
    let web = Web::start(&mut app).await;
    let (ana, bo) = (leave_path(&web.app, ANA), leave_path(&web.app, BO));
    let answer = web.post(&ana, "action=pause-week").await;
    assert!(answer.body.contains("17 February 2026"), "{}", answer.body);
    let answer = web.post(&bo, "action=pause-month").await;
    assert!(answer.body.contains("12 March 2026"), "{}", answer.body);
    app.run_on("2026-02-10").await;
    app.announce("2026-02-10", papers(1));
    app.run_on("2026-02-11").await;
    assert_eq!((mails_to(&app, ANA), mails_to(&app, BO)), (0, 0));
    app.run_on("2026-02-18").await;
    assert_eq!((mails_to(&app, ANA), mails_to(&app, BO)), (1, 0));
    assert_eq!(app.papers_of(ANA).len(), 3);
    let answer = web.post(&bo, "action=resume").await;
    assert!(answer.body.contains("The pause is over"), "{}", answer.body);
    app.run_on("2026-02-19").await;
    assert_eq!(app.papers_of(BO).len(), 3);
}

/// What was due when she left is not sent, also to an address that she had before.
#[tokio::test]
async fn what_is_due_in_the_outbox_is_not_sent_after_the_answer() {
    let mut app = Setup::new()
        .section("[web]\nlisten = \"127.0.0.1:8025\"\npublic_url = \"https://papers.example.org\"")
        .subscriber_with(ANA, &[&format!("keywords = [{GNN:?}]"), "id = \"ana\""])
        .start()
        .await;
    app.announce("2026-02-09", papers(2));
    app.smtp.behaves(Script::default().fault(At::Mail, Act::Close));
    app.run_on("2026-02-10").await;
    app.reconfigure(|setup| {
        setup
            .without(ANA)
            .subscriber_with("new@example.net", &[&format!("keywords = [{GNN:?}]"), "id = \"ana\""])
    });
    let web = Web::start(&mut app).await;
    assert_eq!(web.post(&leave_path(&web.app, "ana"), ONE_CLICK).await.status, 200);
    app.smtp.behaves(Script::default());
    app.it_is("2026-02-11");
    pump(&web.app, "2026-02-11").await;
    assert_eq!(app.mails().len(), 0);
    assert_eq!(reason(&mut app, ANA).await, Some(SuppressionReason::Unsubscribed));
    assert_eq!(
        reason(&mut app, "new@example.net").await,
        Some(SuppressionReason::Unsubscribed)
    );
    assert!(matches!(app.outbox().await[0].state, EntryState::Ended { .. }));
}

/// She leaves while the relay thinks about the recipient: no message follows, and the next one's goes on.
#[tokio::test]
async fn a_message_that_has_not_begun_does_not_begin_after_the_answer() {
    let mut app = three_read().await;
    let slow = Act::Trickle(b"250 2.1.5 ok\r\n".to_vec(), Duration::from_millis(60));
    app.smtp
        .behaves(Script::default().wants_rset().fault_for(At::Rcpt, ANA, slow));
    app.it_is("2026-02-10");
    let web = Web::start(&mut app).await;
    let program = app.build().await;
    let run = tokio::spawn(async move { admin::run_everyone(&program, &CancellationToken::new()).await });
    program::until(|| !app.smtp.commands("RCPT").is_empty(), || "RCPT".to_owned()).await;
    let asked = Instant::now();
    assert_eq!(web.post(&leave_path(&web.app, ANA), ONE_CLICK).await.status, 200);
    assert!(asked.elapsed() < Duration::from_secs(8), "nothing was in hand");
    run.await.expect("it ends").expect("the store works");
    assert_eq!(mails_to(&app, ANA), 0);
    assert_eq!((mails_to(&app, BO), mails_to(&app, LIST)), (1, 1));
    let ended = app.outbox().await;
    assert!(ended.iter().all(|entry| !entry.is_active()), "{ended:?}");
    assert_eq!(app.state_of(ANA).await.pending.len(), 2);
}

/// She leaves while her mail is being handed over: the answer comes when its outcome is known.
#[tokio::test]
async fn an_answer_waits_for_a_message_in_hand() {
    let mut app = three_read().await;
    let slow = Act::Trickle(b"250 2.0.0 queued\r\n".to_vec(), Duration::from_millis(80));
    app.smtp.behaves(Script::default().fault_for(At::Dot, ANA, slow));
    app.it_is("2026-02-10");
    let web = Web::start(&mut app).await;
    let program = app.build().await;
    let run = tokio::spawn(async move { admin::run_everyone(&program, &CancellationToken::new()).await });
    program::until(|| !app.smtp.commands("DATA").is_empty(), || "DATA".to_owned()).await;
    let answer = web.post(&leave_path(&web.app, ANA), ONE_CLICK).await;
    assert!(!answer.body.contains("may still come"), "{}", answer.body);
    let hers = app.outbox().await.into_iter().find(|entry| entry.digest.address == ANA);
    let hers = hers.expect("she had a digest");
    assert!(matches!(hers.state, EntryState::Accepted { .. }), "{hers:?}");
    run.await.expect("it ends").expect("the store works");
}

/// A relay that never answers: the reader is not kept waiting for ever, and is told what may still come.
#[tokio::test]
async fn an_answer_says_so_when_a_message_in_hand_may_still_come() {
    let mut app = three_read().await;
    app.smtp.behaves(Script::default().fault_for(At::Dot, ANA, Act::Hang));
    app.it_is("2026-02-10");
    let web = Web::start(&mut app).await;
    let program = app.build().await;
    let run = tokio::spawn(async move { admin::run_everyone(&program, &CancellationToken::new()).await });
    program::until(|| !app.smtp.commands("DATA").is_empty(), || "DATA".to_owned()).await;
    let answer = web.post(&leave_path(&web.app, ANA), ONE_CLICK).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.contains("It may still come, and it is the last."),
        "{}",
        answer.body
    );
    run.abort();
}

/// A hundred readers leave while their mails go out: before theirs, in the middle of it and after it. From the answer on
/// nothing comes to any of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_of_a_hundred_is_mailed_after_their_leaving_was_answered() {
    let people: Vec<String> = (0..100).map(|n| format!("reader-{n:02}@example.net")).collect();
    let setup = people.iter().fold(
        Setup::new().section("[web]\nlisten = \"127.0.0.1:8025\"\npublic_url = \"https://papers.example.org\""),
        |setup, person| setup.subscriber(person, &[GNN]),
    );
    let mut app = setup.start().await;
    app.announce("2026-02-09", papers(2));
    let slow = Act::Trickle(b"250 2.1.5 ok\r\n".to_vec(), Duration::from_millis(3));
    app.smtp.behaves(Script::default().wants_rset().fault(At::Rcpt, slow));
    app.it_is("2026-02-10");
    let web = Web::start(&mut app).await;
    let program = app.build().await;
    let run = tokio::spawn(async move { admin::run_everyone(&program, &CancellationToken::new()).await });
    program::until(|| !app.smtp.commands("RCPT").is_empty(), || "RCPT".to_owned()).await;
    let leave = async |n: usize| {
        // In another order than that of the mails, over about the time that they take.
        tokio::time::sleep(Duration::from_millis(40 * (n as u64 * 37 % 100))).await;
        let answer = web.post(&leave_path(&web.app, &people[n]), ONE_CLICK).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.body.contains("may still come"), "{}", answer.body);
        mails_to(&app, &people[n])
    };
    let at_the_answer = futures_util::future::join_all((0..people.len()).map(leave)).await;
    run.await.expect("it ends").expect("the store works");
    app.it_is("2026-02-11");
    pump(&web.app, "2026-02-11").await;
    let n_mailed: usize = at_the_answer.iter().sum();
    println!("{n_mailed} of {} had their mail before they left", people.len());
    assert!((1..=99).contains(&n_mailed), "{n_mailed} had their mail before");
    for (person, n) in people.iter().zip(at_the_answer) {
        assert_eq!(mails_to(&app, person), n, "{person}");
    }
    assert_eq!(app.mails().len(), n_mailed);
}

#[tokio::test]
async fn mails_offer_one_click_and_lead_to_their_readers_pages() {
    let mut app = three_read().await;
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let mail = |address: &str| {
        app.mails()
            .into_iter()
            .find(|mail| mail.to == address)
            .expect("a mail came")
    };
    let ana = mail(ANA);
    let head = ana.head().replace("\r\n ", " ");
    let url = format!("https://papers.example.org{}", leave_path(&web.app, ANA));
    assert!(head.contains(&format!("List-Unsubscribe: <{url}>, <mailto:")), "{head}");
    assert!(
        head.contains("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click"),
        "{head}"
    );
    assert!(head.contains("\r\nList-Help: <https://papers.example.org>"), "{head}");
    let view = format!("https://papers.example.org{}", digest_path(&web.app, ANA, 1));
    for part in [&ana.text, &ana.html] {
        for link in [&url, &format!("{url}#pause"), &view] {
            assert!(part.contains(link.as_str()), "{link} in {part}");
        }
    }
    // What one member of a list clicked would go for all.
    let list = mail(LIST);
    let text = String::from_utf8_lossy(&list.bytes).into_owned();
    assert!(!text.contains("/u/") && !text.contains("One-Click"), "{text}");
    assert!(
        !list.html.contains("/u/") && !list.html.contains("/d/"),
        "{}",
        list.html
    );
}

#[tokio::test]
async fn check_07_without_an_address_for_readers_one_leaves_by_mail() {
    let page_only = "[web]\nlisten = \"127.0.0.1:8025\"\npage = true";
    // Mail programs send their click over HTTPS only; a test on loopback shows links and offers no click.
    let loopback = "[web]\nlisten = \"127.0.0.1:8025\"\npublic_url = \"http://127.0.0.1:8025\"";
    for (section, has_link) in [(page_only, false), (loopback, true)] {
        let mut app = Setup::new().section(section).subscriber(ANA, &[GNN]).start().await;
        app.announce("2026-02-09", papers(1));
        app.run_on("2026-02-10").await;
        let mail: Mail = app.mails().remove(0);
        let head = mail.head().replace("\r\n ", " ");
        assert!(head.contains("List-Unsubscribe: <mailto:"), "{head}");
        assert!(
            !head.contains("List-Unsubscribe-Post") && !head.contains("http"),
            "{head}"
        );
        assert_eq!(mail.html.contains("/u/"), has_link);
        assert!(
            !mail.html.contains("href=\"http://127.0.0.1:8025\""),
            "no page is served"
        );
    }
}

#[tokio::test]
async fn a_digest_in_the_browser_shows_its_papers_and_gives_no_other_link_away() {
    let mut app = three_read().await;
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let path = digest_path(&web.app, ANA, 1);
    let answer = web.get(&path).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let ana = app
        .mails()
        .into_iter()
        .find(|mail| mail.to == ANA)
        .expect("a mail came");
    let ids = ana.papers();
    let links = |html: &str| {
        let found = html.match_indices("href=\"https://arxiv.org/abs/");
        let at = found.map(|(at, start)| {
            html[at + start.len()..]
                .split('"')
                .next()
                .unwrap_or_default()
                .to_owned()
        });
        at.collect::<Vec<String>>()
    };
    assert_eq!(links(&answer.body), ids);
    assert_eq!(links(&answer.body), links(&ana.html));
    // Whoever it is handed on to must not be able to sign her off.
    assert!(!answer.body.contains("/u/"), "{}", answer.body);
    assert!(!answer.body.contains("<script"), "{}", answer.body);
    // A paper whose text is gone is still linked; a digest that is gone is named as such.
    let store = app.store().await;
    let record = app.outbox().await.into_iter().find(|entry| entry.digest.address == ANA);
    let record = record.expect("it is kept").digest;
    let papers_deleted = record
        .papers()
        .map(|paper| VersionedId {
            id: paper.id.clone(),
            version: paper.version,
        })
        .collect();
    let batch = Batch {
        papers_deleted,
        ..Batch::default()
    };
    store.commit(batch).await.expect("the store writes");
    assert_eq!(links(&web.get(&path).await.body), ids);
    let batch = Batch {
        entries_deleted: vec![record.id.clone()],
        ..Batch::default()
    };
    store.commit(batch).await.expect("the store writes");
    let gone = web.get(&path).await;
    assert_eq!(gone.status, 410);
    assert!(gone.body.contains("not kept any more"), "{}", gone.body);
}

#[tokio::test]
async fn a_feed_holds_its_subscribers_papers() {
    let mut app = three_read().await;
    app.reconfigure(|setup| setup.subscriber(BO, &["diffusion"]));
    app.announce("2026-02-09", [paper("On diffusion")]);
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let answer = web.get(&feed_path(&web.app, ANA)).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("application/atom+xml"));
    let feed = paperround::arxiv::atom::parse(answer.body.as_bytes()).expect("it is a feed");
    let titles: BTreeSet<String> = feed.papers.iter().map(|paper| paper.title.clone()).collect();
    assert_eq!((feed.papers.len(), feed.rejected.len()), (2, 0));
    assert!(
        titles.iter().all(|title| title.starts_with("A graph neural network")),
        "{titles:?}"
    );
    assert!(!answer.body.contains('@'), "{}", answer.body);
    let bo = web.get(&feed_path(&web.app, BO)).await.body;
    assert_eq!(bo.matches("<entry>").count(), 1, "{bo}");
    let id = |feed: &str| {
        feed.split("<id>")
            .nth(1)
            .unwrap_or_default()
            .split('<')
            .next()
            .map(str::to_owned)
    };
    assert_ne!(id(&answer.body), id(&bo));
}

#[tokio::test]
async fn the_page_is_searched_by_keyword_and_day_and_is_off_unless_wanted() {
    let mut app = three_read().await;
    app.reconfigure(|setup| setup.subscriber(BO, &["diffusion", "R&D <b>"]));
    app.announce("2026-02-09", [paper("On diffusion").submitted("2026-02-05T10:00:00Z")]);
    app.run_on("2026-02-10").await;
    let mut web = Web::start(&mut app).await;
    let n_papers = |answer: &Answer| answer.body.matches("<h3").count();
    let whole = web.get("/").await;
    assert_eq!((whole.status, n_papers(&whole)), (200, 3), "{}", whole.body);
    assert!(
        !whole.body.contains("<script") && !whole.body.contains("<b>\""),
        "{}",
        whole.body
    );
    assert!(whole.body.contains("R&amp;D &lt;b&gt;"), "{}", whole.body);
    let found = web.get("/?keyword=diffusion").await;
    assert_eq!(n_papers(&found), 1, "{}", found.body);
    assert!(
        found.body.contains("<option value=\"diffusion\" selected>"),
        "{}",
        found.body
    );
    assert_eq!(n_papers(&web.get("/?day=2026-02-05&keyword=").await), 1);
    assert_eq!(
        n_papers(&web.get("/?day=2026-02-05&keyword=graph+neural+network").await),
        0
    );
    let none = web.get("/?keyword=%3Cscript%3E&day=x").await;
    assert_eq!((none.status, n_papers(&none)), (200, 0));
    assert!(none.body.contains("Nothing was found") && !none.body.contains("<script"));
    app.setup = app.setup.clone().section("");
    let text = std::fs::read_to_string(app.config_path()).expect("it was written");
    std::fs::write(app.config_path(), text.replace("page = true", "page = false")).expect("it can be written");
    web.reload(&mut app).await;
    assert_eq!(web.get("/").await, web.get("/nothing").await);
}

#[tokio::test]
async fn every_answer_forbids_scripts_frames_referrers_and_copies() {
    let mut app = three_read().await;
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let leave = leave_path(&web.app, ANA);
    let digest = digest_path(&web.app, ANA, 1);
    let feed = feed_path(&web.app, ANA);
    let long = format!("/{}", "x".repeat(600));
    for path in [
        "/",
        &leave,
        &digest,
        &feed,
        "/healthz",
        "/readyz",
        "/metrics",
        "/nothing",
        &long,
        "/favicon.ico",
    ] {
        let answer = web.get(path).await;
        let policy = answer.header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("script-src"), "{path}: {policy}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(answer.header("set-cookie"), "", "{path}");
        assert!(!answer.body.contains("<script"), "{path}");
    }
    let big = web.post(&leave, &format!("{ONE_CLICK}&x={}", "y".repeat(5_000))).await;
    assert_eq!((big.status, big.header("cache-control")), (413, "no-store"));
    assert_eq!(reason(&mut app, ANA).await, None);
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    assert_eq!(web.ask("GET / HTTP/1.1", &many, "").await.status, 431);
}

/// Alive is one thing, and that the store answers another.
#[tokio::test]
async fn health_and_readiness_are_told_apart() {
    let mut app = three_read().await;
    let web = Web::start(&mut app).await;
    assert_eq!(web.get("/healthz").await.body, "ok\n");
    assert_eq!(web.get("/readyz").await.body, "ready\n");
    let path = leave_path(&web.app, ANA);
    let broken = Web::around(app.build_on(Arc::new(Mute)));
    assert_eq!(broken.get("/healthz").await.status, 200);
    assert_eq!(broken.get("/readyz").await.status, 503);
    // Nobody is told that they have left when they have not, nor what is wrong inside.
    let answer = broken.post(&path, ONE_CLICK).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("Please try again"), "{}", answer.body);
    assert!(
        !answer.body.contains("disk is gone") && !answer.body.contains("left"),
        "{}",
        answer.body
    );
    assert_eq!(broken.get("/metrics").await.status, 503);
}

/// A store that answers nothing any more.
#[derive(Debug)]
struct Mute;

fn gone<T>() -> Result<T, StoreError> {
    Err(StoreError::Io {
        place: "the test".to_owned(),
        doing: "read",
        why: "the disk is gone".to_owned(),
    })
}

#[async_trait::async_trait]
impl Store for Mute {
    async fn commit(&self, _: Batch) -> Result<(), StoreError> {
        gone()
    }

    async fn subscribers(&self, _: &[SubscriberId]) -> Result<Vec<Versioned<SubscriberState>>, StoreError> {
        gone()
    }

    async fn subscriber_ids(&self) -> Result<Vec<SubscriberId>, StoreError> {
        gone()
    }

    async fn papers(&self, _: &[VersionedId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        gone()
    }

    async fn latest_papers(&self, _: &[ArxivId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        gone()
    }

    async fn newest_papers(&self, _: Option<&ArxivId>, _: usize) -> Result<Vec<StoredPaper>, StoreError> {
        gone()
    }

    async fn lease_due(
        &self,
        _: &WorkerId,
        _: DueBy,
        _: TimeDelta,
        _: usize,
    ) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        gone()
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        gone()
    }

    async fn entry(&self, _: &DigestId) -> Result<Option<Versioned<OutboxEntry>>, StoreError> {
        gone()
    }

    async fn entries(&self, _: &EntryFilter) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        gone()
    }

    async fn document(&self, _: DocumentKind, _: &str) -> Result<Versioned<Document>, StoreError> {
        gone()
    }

    async fn documents(&self, _: DocumentKind) -> Result<Vec<Versioned<Document>>, StoreError> {
        gone()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        gone()
    }
}

/// The names of metrics in a text: words that begin with our prefix.
fn metrics_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("paperround_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn metrics_tell_how_things_stand_without_an_address() {
    let mut app = three_read().await;
    app.run_on("2026-02-10").await;
    app.it_is("2026-02-10T09:00:00Z");
    let web = Web::start(&mut app).await;
    // The counters of a process live through its reloads; here the run was made by another one.
    let program = app.build().await;
    admin::run_everyone(&web.app, &CancellationToken::new())
        .await
        .expect("the store works");
    drop(program);
    let answer = web.get("/metrics").await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!((answer.status, answer.header("content-type")), (200, kind));
    let text = &answer.body;
    assert!(
        text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1,
        "{text}"
    );
    assert!(!text.contains('@') && !text.contains("example.net"), "{text}");
    for line in [
        "paperround_keyword_last_complete_age_seconds{keyword=\"graph neural network\"} 0.0",
        "paperround_keyword_incomplete{keyword=\"graph neural network\"} 0",
        "paperround_outbox_entries{state=\"accepted\"} 3",
        "paperround_outbox_entries{state=\"held\"} 0",
        "paperround_subscribers 3",
        "paperround_runs_total{result=\"complete\"} 1",
        "paperround_run_duration_seconds_count 1",
        "paperround_delivery_attempts_total{outcome=\"accepted\"} 0",
        "paperround_suppressed_addresses{reason=\"unsubscribed\"} 0",
        "paperround_arxiv_paused 0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} in\n{text}");
    }
    assert!(text.contains(concat!(
        "paperround_build_info{version=\"",
        env!("CARGO_PKG_VERSION"),
        "\"} 1"
    )));
    let asked = text
        .lines()
        .find_map(|line| line.strip_prefix("paperround_arxiv_requests_total{result=\"answered\"} "));
    assert!(
        asked.and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n > 0),
        "{text}"
    );
    // Every series has its help and its type, and a unit in its name where it has one.
    for name in metrics_in(text) {
        if let Some(unit) = text.lines().find(|line| line.starts_with(&format!("# UNIT {name} "))) {
            let unit = unit.rsplit(' ').next().unwrap_or_default();
            assert!(name.ends_with(&format!("_{unit}")), "{name} has the unit {unit}");
        }
    }
}

/// What a text asks of the labels of our metrics: the metric, the label, its value or values.
fn labels_in(text: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("paperround_") {
        let Some((metric, rest)) = text[at..].split_once('{') else {
            continue;
        };
        let is_name = metric.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let Some((matchers, _)) = rest.split_once('}').filter(|_| is_name) else {
            continue;
        };
        for matcher in matchers.split(',') {
            let (label, value) = matcher
                .split_once('=')
                .unwrap_or_else(|| panic!("{matcher:?} of {metric}"));
            let value = value.trim_start_matches('~').trim_matches('"');
            found.push((metric.to_owned(), label.trim().to_owned(), value.to_owned()));
        }
    }
    found
}

/// The dashboard and the rules that are shipped ask for nothing that is not there.
#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_is_exposed() {
    let mut app = three_read().await;
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let text = web.get("/metrics").await.body;
    let exposed: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .map(str::to_owned)
        .collect();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut n_names, mut n_labels) = (0, 0);
    for file in files_below(&root.join("deploy"), &[]) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".rules.yml") && !name.ends_with("dashboard.json") {
            continue;
        }
        let content = std::fs::read_to_string(&file).expect("it can be read");
        if name.ends_with(".json") {
            serde_json::from_str::<serde_json::Value>(&content).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        for metric in metrics_in(&content) {
            n_names += 1;
            assert!(exposed.contains(&metric), "{name}: {metric} is not exposed");
        }
        let content = content.replace("\\\"", "\"");
        for (series, label, value) in labels_in(&content) {
            n_labels += 1;
            let is_exposed = |value: &str| {
                let pair = format!("{label}=\"{value}\"");
                let mut lines = text.lines();
                lines.any(|line| line.starts_with(&format!("{series}{{")) && line.contains(&pair))
            };
            assert!(
                value.split('|').all(is_exposed),
                "{name}: {series} has no {label} {value}"
            );
        }
    }
    assert!(
        n_names > 12 && n_labels > 5,
        "only {n_names} names and {n_labels} labels were found"
    );
}

/// What a delivery must not notice: clients that say nothing and never end, and others that ask and ask.
async fn under_load(n_slow: usize, n_requests: usize, n_people: usize) {
    let people: Vec<String> = (0..n_people).map(|n| format!("reader-{n}@example.net")).collect();
    let setup = people.iter().fold(
        Setup::new()
            .section("[web]\nlisten = \"127.0.0.1:8025\"\npublic_url = \"https://papers.example.org\"\npage = true"),
        |setup, person| setup.subscriber(person, &[GNN]),
    );
    let mut app = setup.start().await;
    app.announce("2026-02-09", papers(20));
    app.it_is("2026-02-10");
    let web = Web::start(&mut app).await;
    let port = web.port;
    let slow: Vec<_> = (0..n_slow)
        .map(|_| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
                stream.write_all(b"POST /u/x HTTP/1.1\r\nHost: ").await?;
                loop {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    stream.write_all(b"x").await?;
                }
                #[expect(unreachable_code, reason = "it names the type of the error")]
                Ok::<(), std::io::Error>(())
            })
        })
        .collect();
    let program = Arc::new(app.build().await);
    let run = {
        let program = Arc::clone(&program);
        tokio::spawn(async move { admin::run_everyone(&program, &CancellationToken::new()).await })
    };
    let paths = [
        leave_path(&web.app, &people[0]),
        "/".to_owned(),
        "/metrics".to_owned(),
        "/nothing".to_owned(),
        "/healthz".to_owned(),
    ];
    let began = Instant::now();
    let n_clients = 8;
    let clients: Vec<_> = (0..n_clients)
        .map(|_| {
            let paths = paths.clone();
            tokio::spawn(async move { ask_again_and_again(port, &paths, n_requests / n_clients).await })
        })
        .collect();
    let report = run.await.expect("it ends").expect("the store works");
    let delivered_after = began.elapsed();
    let mut n_answered = 0;
    for client in clients {
        n_answered += client.await.expect("a client ends");
    }
    println!(
        "{n_slow} slow clients, {n_answered} requests answered in {:?}; {} digests accepted after {delivered_after:?}",
        began.elapsed(),
        report.accepted
    );
    for client in slow {
        client.abort();
    }
    assert_eq!(n_answered, n_requests / n_clients * n_clients);
    assert_eq!((report.accepted, report.failed, report.retrying), (n_people, 0, 0));
    for person in &people {
        assert_eq!(
            (mails_to(&app, person), app.papers_of(person).len()),
            (1, 20),
            "{person}"
        );
    }
}

/// Asks on connections that are kept, and counts the answers.
async fn ask_again_and_again(port: u16, paths: &[String], n: usize) -> usize {
    let mut n_answered = 0;
    let mut buffer = vec![0; 64 * 1024];
    'connections: while n_answered < n {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)).await else {
            continue;
        };
        for _ in 0..500 {
            if n_answered == n {
                break 'connections;
            }
            let path = &paths[n_answered % paths.len()];
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            if stream.write_all(request.as_bytes()).await.is_err() {
                continue 'connections;
            }
            let Some(()) = read_answer(&mut stream, &mut buffer).await else {
                continue 'connections;
            };
            n_answered += 1;
        }
    }
    n_answered
}

/// Reads one answer to the end that its length says.
async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let n = stream.read(buffer).await.ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length: usize = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
        if bytes.len() >= end + 4 + length {
            return Some(());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_does_not_notice_slow_clients_and_many_requests() {
    under_load(40, 800, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "200 slow clients and 100,000 requests take minutes; `cargo test --release -- --ignored` runs it"]
async fn a_delivery_does_not_notice_two_hundred_slow_clients_and_a_hundred_thousand_requests() {
    under_load(200, 100_000, 40).await;
}

/// A whole head must come within ten seconds.
#[tokio::test]
async fn a_client_that_says_nothing_is_cut_off() {
    let mut app = three_read().await;
    let web = Web::start(&mut app).await;
    let mut stream = TcpStream::connect(("127.0.0.1", web.port)).await.expect("it listens");
    stream.write_all(b"GET / HT").await.expect("it reads");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(40), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it stays open");
}

/// A free port; somebody else may take it before we do, which the test would show.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound").port()
}

#[tokio::test]
async fn serve_listens_before_it_is_ready_and_answers_until_it_stops() {
    let port = free_port();
    let section = |page: bool| {
        format!("[web]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"https://papers.example.org\"\npage = {page}")
    };
    let app = Setup::new()
        .section(&section(false))
        .subscriber(ANA, &[GNN])
        .start()
        .await;
    app.arxiv
        .set_now(paperround::clock::Clock::now(&paperround::clock::SystemClock));
    let serving = Serving::start(&app.config_path(), &["serve"]);
    serving.says("serving").await;
    assert!(serving.log().contains("the web part listens"), "{}", serving.log());
    let ask = async |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.expect("it answers");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert!(ask("/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(ask("/").await.starts_with("HTTP/1.1 404"));
    let text = std::fs::read_to_string(app.config_path()).expect("it was written");
    std::fs::write(app.config_path(), text.replace("page = false", "page = true")).expect("it can be written");
    serving.signal("HUP").await;
    serving.says("configuration reloaded").await;
    assert!(ask("/").await.starts_with("HTTP/1.1 200"));
    // A second one cannot have the address: it says so, and may be started again.
    let other = Setup::new()
        .section(&section(false))
        .subscriber(ANA, &[GNN])
        .start()
        .await;
    let second = program::run(&other.config_path(), &["serve"]).await;
    assert_eq!(second.code, Some(1), "{}", second.err);
    assert!(second.err.contains("web.listen"), "{}", second.err);
    // No token is in the log.
    assert!(ask("/u/v1.secret.token.x").await.starts_with("HTTP/1.1 404"));
    serving.signal("TERM").await;
    let (code, log) = serving.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("v1.secret.token"), "{log}");
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

/// What `tests/web-pages.sh` runs: a browser plays the reader.
#[tokio::test]
#[ignore = "needs Chromium and Node.js; tests/web-pages.sh installs what it uses and runs it"]
async fn pages_work_in_a_browser() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut app = Setup::new()
        .section("[web]\nlisten = \"127.0.0.1:8025\"\npublic_url = \"https://papers.example.org\"\npage = true")
        .subscriber(ANA, &[GNN, "diffusion"])
        .start()
        .await;
    let abstract_text =
        "We show what a graph neural network of bounded depth can tell apart, and what it cannot. ".repeat(8);
    let of_this_day = papers(5).into_iter().map(|paper| paper.summary(&abstract_text));
    app.announce("2026-02-09", of_this_day);
    app.announce("2026-02-09", [paper("On diffusion")]);
    app.run_on("2026-02-10").await;
    let web = Web::start(&mut app).await;
    let status = tokio::process::Command::new("node")
        .arg(root.join("tests/web-pages/pages.mjs"))
        .arg(format!("http://127.0.0.1:{}", web.port))
        .args([
            leave_path(&web.app, ANA),
            digest_path(&web.app, ANA, 1),
            feed_path(&web.app, ANA),
        ])
        .arg(root.join("target/web-pages/shots"))
        .status()
        .await
        .expect("node starts");
    assert!(status.success());
}
