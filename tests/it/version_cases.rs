//! Later versions and withdrawals of papers that subscribers got, where the configuration lists them.

use std::sync::{Arc, Mutex};

use paperround::model::Settled;

use crate::harness::{
    app::{Mail, Setup, TestApp},
    arxiv::{Answer, status},
    interfaces::{Arxiv, argument, at, list, nothing, record},
    papers::{self, Paper, instant, page, paper},
};

const ANA: &str = "ana@example.net";
const BO: &str = "bo@example.net";
const CY: &str = "cy@example.net";
const GNN: &str = "graph neural network";
const TITLE: &str = "A graph neural network for molecules";
const WITHDRAWAL: &str = "This paper has been withdrawn by the author due to an error in Lemma 3";

/// A service that lists new versions and begins with what is announced after its first run.
fn listing() -> Setup {
    Setup::new()
        .digest("replacements", "'list'")
        .digest("first_digest", "'0s'")
        .digest("empty", "'skip'")
}

/// A new version of a paper, submitted at noon of that day.
fn revise(app: &TestApp, id: &str, day: &str, change: impl FnOnce(&mut Paper)) {
    app.arxiv.revise(id, |paper| {
        paper.version += 1;
        paper.updated = Some(instant(&format!("{day}T12:00:00Z")));
        change(paper);
    });
}

/// Both parts of a mail, each in one line of plain blanks.
fn parts(mail: &Mail) -> [String; 2] {
    [&mail.text, &mail.html].map(|part| {
        let part = part.replace("&nbsp;", " ").replace('\u{a0}', " ");
        part.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

#[track_caller]
fn check_says(mail: &Mail, says: &[&str], says_not: &[&str]) {
    for part in parts(mail) {
        for words in says {
            assert!(part.contains(words), "{words:?} is not in {part}");
        }
        for words in says_not {
            assert!(!part.contains(words), "{words:?} is in {part}");
        }
    }
}

#[tokio::test]
async fn a_new_version_says_what_it_changed_once_and_to_nobody_who_has_not_got_the_paper() {
    let in_lg = |lines: &[&'static str]| -> Vec<&'static str> {
        [
            &["keywords = ['graph neural network']", "categories = ['cs.LG']"],
            lines,
        ]
        .concat()
    };
    let mut app = listing()
        .subscriber_with(ANA, &in_lg(&[]))
        .subscriber_with(CY, &in_lg(&["cross_lists = false"]))
        .start()
        .await;
    app.run_on("2026-02-09").await;
    let noted = |categories: &[&str], title: &str| Paper {
        comment: Some("9 pages".to_owned()),
        ..paper(title).in_categories(categories)
    };
    let ids = app.announce(
        "2026-02-09",
        [
            noted(&["cs.AI", "cs.LG"], TITLE),
            noted(&["cs.LG", "cs.AI"], "One more graph neural network"),
        ],
    );
    app.run_on("2026-02-10").await;
    assert_eq!(
        (app.papers_of(ANA), app.papers_of(CY)),
        (ids.clone(), ids[1..].to_vec())
    );
    app.new_mails();

    // Bo comes some days after the first version and gets nothing of the second either.
    app.reconfigure(|setup| setup.subscriber_with(BO, &in_lg(&[])));
    revise(&app, &ids[0], "2026-02-12", |paper| {
        paper.title = "Equivariant graph neural networks <for> molecules".to_owned();
        paper.summary = "Rewritten.".to_owned();
        paper.comment = Some("9 pages; accepted at EACL 2026".to_owned());
    });
    app.run_on("2026-02-13").await;
    let mails = app.new_mails();
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [ANA]);
    check_says(
        &mails[0],
        &[
            "New versions of papers you got",
            "v2 of a paper you got as v1 on 10 February",
            "new title, before: “A graph neural network for molecules”",
            "new abstract",
            "now: 9 pages; accepted at EACL 2026",
        ],
        &[],
    );
    assert!(mails[0].html.contains("&lt;for&gt;") && !mails[0].html.contains("<for>"));

    // Only the comment, then nothing that is told; each once.
    app.run_on("2026-02-14").await;
    assert_eq!(app.new_mails(), []);
    revise(&app, &ids[0], "2026-02-15", |paper| {
        paper.comment = Some("Camera-ready".to_owned());
    });
    app.run_on("2026-02-17").await;
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    check_says(&mails[0], &["now: Camera-ready"], &["new title", "new abstract"]);
    revise(&app, &ids[0], "2026-02-17", |paper| paper.comment = None);
    app.run_on("2026-02-18").await;
    check_says(&app.new_mails()[0], &["no comment any more"], &["new title", "now:"]);
    revise(&app, &ids[0], "2026-02-18", |_| {});
    app.run_on("2026-02-19").await;
    app.run_on("2026-02-20").await;
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    check_says(&mails[0], &["title, abstract and comment as before"], &[]);

    // Cy got the other one by its primary category; that it has moved since is no reason not to tell.
    revise(&app, &ids[1], "2026-02-20", |paper| paper.categories.reverse());
    app.run_on("2026-02-21").await;
    let to: Vec<String> = app.new_mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(to, [ANA, CY]);
    let new = app.announce("2026-02-22", [noted(&["cs.AI", "cs.LG"], TITLE)]);
    app.run_on("2026-02-23").await;
    let got: Vec<String> = app.new_mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!(got, [ANA, BO], "{new:?} is cross-listed");
}

/// By searches, which do not find such a version: it is asked for by its identifier on the day that the first one is
/// found no more.
#[tokio::test]
async fn a_withdrawal_that_matches_nothing_any_more_is_told_to_those_who_got_the_paper() {
    let mut app = listing()
        .subscriber(ANA, &[GNN])
        .subscriber_with(
            BO,
            &["keywords = ['graph neural network']", "paused_until = 2026-02-12"],
        )
        .subscriber(CY, &["transformer"])
        .start()
        .await;
    app.run_on("2026-02-09").await;
    let ids = app.announce(
        "2026-02-09",
        [
            paper(TITLE),
            paper("One more graph neural network"),
            paper("A transformer"),
        ],
    );
    app.run_on("2026-02-10").await;
    assert_eq!(app.papers_of(ANA), ids[..2]);
    app.new_mails();
    revise(&app, &ids[0], "2026-02-10", |paper| {
        paper.title = "On molecules".to_owned();
        paper.summary = "Withdrawn.".to_owned();
        paper.comment = Some(WITHDRAWAL.to_owned());
    });
    app.arxiv.take_log();
    assert!(app.run_on("2026-02-11").await.is_complete());
    let asked = app.arxiv.take_log();
    assert_eq!(asked.iter().filter(|asked| asked.id_list == ids[0]).count(), 1);
    let mails = app.new_mails();
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [ANA]);
    assert!(mails[0].subject.starts_with("1 new version"), "{}", mails[0].subject);
    let now = format!("now: {WITHDRAWAL}");
    check_says(&mails[0], &["withdrawn", "On molecules", "before: “A graph", &now], &[]);
    // Whoever waited for the first version gets neither, and nobody hears of it twice.
    for day in ["2026-02-12", "2026-02-13", "2026-02-14"] {
        app.run_on(day).await;
    }
    assert!(app.arxiv.take_log().iter().all(|asked| asked.id_list.is_empty()));
    assert_eq!(app.papers_of(BO), [ids[1].clone()]);
    let bo = app.state_of(BO).await;
    let id = ids[0].parse().expect("an identifier");
    assert_eq!(bo.settled.get(&id), Some(&Settled::Withdrawn));
    assert_eq!(app.new_mails().iter().filter(|mail| mail.to != BO).count(), 0);
}

/// The request by identifier may fail, or bring nothing: then the next run asks again, and not only the next week's.
#[tokio::test]
async fn a_paper_that_is_found_no_more_is_asked_for_until_it_comes() {
    let mut app = listing().subscriber(ANA, &[GNN]).start().await;
    app.run_on("2026-02-09").await;
    let ids = app.announce("2026-02-09", [paper(TITLE), paper("One more graph neural network")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.papers_of(ANA), ids);
    app.new_mails();
    revise(&app, &ids[0], "2026-02-10", |paper| {
        paper.title = "On molecules".to_owned();
        paper.comment = Some(WITHDRAWAL.to_owned());
    });
    let n_asked = |app: &TestApp, id: &str| app.arxiv.take_log().iter().filter(|asked| asked.id_list == id).count();
    app.arxiv.take_log();
    // The answers of the searches between are whole without it, and nobody but the memory knows of it.
    for (moment, is_refused) in [
        ("2026-02-11", true),
        ("2026-02-11T14:00:00Z", false),
        ("2026-02-12", true),
    ] {
        app.arxiv.answers(move |asked| {
            if asked.id_list.is_empty() {
                Answer::Ordinary
            } else if is_refused {
                status(503)
            } else {
                // Another one than was asked for: nothing says that it was announced.
                let other = Paper {
                    id: "2602.31000".to_owned(),
                    ..paper(TITLE)
                };
                Answer::Body(papers::feed("", 1, 0, &[other], ""))
            }
        });
        assert!(app.run_on(moment).await.is_complete(), "{moment}");
        assert_eq!(n_asked(&app, &ids[0]), 1, "{moment}");
        assert_eq!(app.new_mails(), [], "{moment}");
        app.end_process();
    }
    app.arxiv.is_well();
    app.run_on("2026-02-12T14:00:00Z").await;
    assert_eq!(n_asked(&app, &ids[0]), 1);
    let mails = app.new_mails();
    assert_eq!(mails.len(), 1);
    check_says(&mails[0], &["withdrawn", "On molecules"], &[]);
    app.run_on("2026-02-13").await;
    assert_eq!(n_asked(&app, &ids[0]), 0, "it has come");

    // One that never comes is given up after the next weekly reconciliation.
    revise(&app, &ids[1], "2026-02-13", |paper| {
        paper.title = "On crystals".to_owned();
    });
    app.arxiv.answers(|asked| {
        if asked.id_list.is_empty() {
            Answer::Ordinary
        } else {
            Answer::Body(page("", 0, 0, "", 0))
        }
    });
    let mut n_days = 0;
    for day in 14..=28 {
        app.run_on(&format!("2026-02-{day}")).await;
        n_days += n_asked(&app, &ids[1]);
    }
    assert_eq!(n_days, 9);
}

/// One that another search of the same run shows, one that nobody has, and one that only an answer with a hole lacks.
#[tokio::test]
async fn only_what_somebody_has_and_nothing_shows_is_asked_for_by_its_identifier() {
    let keywords = format!("keywords = [\"{GNN}\", \"crystals\"]");
    let setup = listing().subscriber_with(ANA, &[&keywords, "exclude = [\"survey\"]"]);
    let mut app = setup.start().await;
    app.run_on("2026-02-09").await;
    let titles = [
        "A graph neural network for crystals",
        "A survey of graph neural network",
        "One more graph neural network",
    ];
    let ids = app.announce("2026-02-09", titles.map(paper));
    app.run_on("2026-02-10").await;
    assert_eq!(app.papers_of(ANA), [ids[0].clone(), ids[2].clone()]);
    for id in &ids[..2] {
        revise(&app, id, "2026-02-10", |paper| {
            paper.title = paper.title.replace(GNN, "model");
        });
    }
    let n_named = |app: &TestApp| {
        app.arxiv
            .take_log()
            .iter()
            .filter(|asked| !asked.id_list.is_empty())
            .count()
    };
    n_named(&app);
    assert!(app.run_on("2026-02-11").await.is_complete());
    assert_eq!(n_named(&app), 0);
    app.arxiv.answers(|asked| {
        if asked.asks_for("graph") {
            Answer::Short(0)
        } else {
            Answer::Ordinary
        }
    });
    assert!(!app.run_on("2026-02-11T14:00:00Z").await.is_complete());
    assert_eq!(n_named(&app), 0);
}

/// The same by harvest, which sees every version whatever it says.
#[tokio::test]
async fn a_harvest_tells_of_a_withdrawal_that_matches_nothing_any_more() {
    let today = Arc::new(Mutex::new((
        "2026-02-09",
        vec![record("2602.00005", "Other", "cs.LG", "2026-02-06")],
    )));
    let shown = Arc::clone(&today);
    let oai = Arxiv::start(Box::new(move |_, arguments| {
        let (day, records) = &*shown.lock().expect("nothing panics");
        match argument(arguments, "set") {
            "cs:cs:LG" => list(records, "", day),
            _ => nothing(day),
        }
    }))
    .await;
    let it_is = |day: &'static str, records: Vec<String>| {
        *today.lock().expect("nothing panics") = (day, records);
    };
    let mut app = listing()
        .arxiv("source", "'harvest'")
        .arxiv("oai_url", &format!("'{}/oai'", oai.base))
        .subscriber_with(ANA, &["keywords = ['graph neural network']", "categories = ['cs.LG']"])
        .subscriber_with(
            BO,
            &[
                "keywords = ['graph neural network']",
                "categories = ['cs.LG']",
                "paused_until = 2026-02-12",
            ],
        )
        .start()
        .await;
    assert!(app.run_on("2026-02-09").await.is_complete());
    let first = record("2602.09010", TITLE, "cs.LG", "2026-02-09");
    it_is("2026-02-10", vec![first.clone()]);
    assert!(app.run_on("2026-02-10").await.is_complete());
    let ids = vec!["2602.09010".to_owned()];
    assert_eq!(app.new_papers_of(ANA), ids);
    let version = |day: &str| format!("<date>{}</date>", at(&format!("{day}T12:00:00Z")).to_rfc2822());
    let second = first
        .replace(TITLE, "On molecules")
        .replace("<datestamp>2026-02-09", "<datestamp>2026-02-10")
        .replace("<comments>5 pages", &format!("<comments>{WITHDRAWAL}"))
        .replace(
            "</version>",
            &format!(
                "</version><version version='v2'>{}<source_type>I</source_type></version>",
                version("2026-02-10")
            ),
        );
    it_is("2026-02-11", vec![second]);
    for day in ["2026-02-11", "2026-02-12", "2026-02-13"] {
        assert!(app.run_on(day).await.is_complete(), "{day}");
    }
    let mails = app.new_mails();
    assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [ANA]);
    assert_eq!(mails[0].papers(), ids);
    let now = format!("now: {WITHDRAWAL}");
    check_says(&mails[0], &["withdrawn", "before: “A graph", &now], &["new abstract"]);
}

#[tokio::test]
async fn a_paper_that_was_reworded_while_it_waited_comes_as_it_was_announced() {
    // Ana has got it and may care for the later version; without her nobody does.
    for (is_got, stored_version) in [(true, 2), (false, 1)] {
        let mut setup = listing().subscriber_with(
            BO,
            &["keywords = ['graph neural network']", "paused_until = 2026-02-12"],
        );
        if is_got {
            setup = setup.subscriber(ANA, &[GNN]);
        }
        let mut app = setup.start().await;
        app.run_on("2026-02-09").await;
        let ids = app.announce("2026-02-09", [paper(TITLE), paper("One more graph neural network")]);
        app.run_on("2026-02-10").await;
        revise(&app, &ids[0], "2026-02-10", |paper| {
            paper.title = "On molecules".to_owned();
        });
        app.run_on("2026-02-11").await;
        app.new_mails();
        app.run_on("2026-02-12").await;
        let mails = app.new_mails();
        assert_eq!(mails.iter().map(|mail| mail.to.as_str()).collect::<Vec<_>>(), [BO]);
        let [text, _] = parts(&mails[0]);
        assert!(text.contains(TITLE) && !text.contains("On molecules"), "{text}");
        assert_eq!(app.papers_of(BO), ids);
        let id = ids[0].parse().expect("an identifier");
        let stored = app.store().await.latest_papers(&[id]).await.expect("the store works");
        let version = stored[0].as_ref().map(|stored| stored.paper.version);
        assert_eq!(version, Some(stored_version));
    }
}

#[tokio::test]
async fn new_versions_on_a_keyword_that_was_given_up_are_not_told() {
    let mut app = listing()
        .subscriber(ANA, &[GNN, "molecules"])
        .subscriber(BO, &[GNN])
        .start()
        .await;
    app.run_on("2026-02-09").await;
    let ids = app.announce("2026-02-09", [paper("A graph neural network"), paper("On molecules")]);
    app.run_on("2026-02-10").await;
    app.new_mails();
    app.reconfigure(|setup| setup.subscriber(ANA, &["molecules"]));
    for id in &ids {
        revise(&app, id, "2026-02-10", |paper| paper.summary = "New words.".to_owned());
    }
    app.run_on("2026-02-11").await;
    let mails = app.new_mails();
    let listed: Vec<(&str, Vec<String>)> = mails.iter().map(|mail| (mail.to.as_str(), mail.papers())).collect();
    assert_eq!(listed, [(ANA, ids[1..].to_vec()), (BO, ids[..1].to_vec())]);
    assert!(app.state_of(ANA).await.replacements.is_empty());
}

/// Half a thousand at once, as when a keyword's papers are reworded by the hundred: the newest first, no more in one address than
/// arXiv takes, and no more than are worth it.
#[tokio::test]
async fn many_papers_that_are_found_no_more_are_asked_for_in_parts_the_newest_first() {
    let mut app = listing().subscriber(ANA, &[GNN, "molecules"]).start().await;
    app.run_on("2026-02-09").await;
    let ids = app.announce("2026-02-09", (0..521).map(|n| paper(&format!("{TITLE}, part {n}"))));
    app.run_on("2026-02-10").await;
    for id in &ids[..520] {
        app.arxiv.revise(id, |paper| paper.title = "On crystals".to_owned());
    }
    let n_named = |app: &TestApp| -> Vec<Vec<String>> {
        let log = app.arxiv.take_log();
        let named = log.iter().filter(|asked| !asked.id_list.is_empty());
        named
            .map(|asked| asked.id_list.split(',').map(str::to_owned).collect())
            .collect()
    };
    app.arxiv.answers(|asked| {
        if asked.id_list.is_empty() {
            Answer::Ordinary
        } else {
            Answer::Body(page("", 0, 0, "", 0))
        }
    });
    // So many at once are believed when three answers over twelve hours agree.
    for hour in ["07", "13"] {
        app.run_on(&format!("2026-02-11T{hour}:00:00Z")).await;
        assert!(n_named(&app).is_empty());
    }
    let newest: Vec<String> = ids[320..520].iter().rev().cloned().collect();
    app.run_on("2026-02-11T20:00:00Z").await;
    // Both searches miss them, and each is named once.
    assert_eq!(n_named(&app), std::slice::from_ref(&newest));
    // arXiv knows them again.
    app.arxiv.is_well();
    let mut asked = Vec::new();
    for hour in ["21", "22", "23"] {
        app.run_on(&format!("2026-02-11T{hour}:00:00Z")).await;
        asked.push(n_named(&app).concat().len());
    }
    assert_eq!(asked, [200, 200, 100]);
    app.run_on("2026-02-12").await;
    assert!(n_named(&app).is_empty());
}

/// One search misses it, the other has no answer on that day and misses it on the next: it is one paper all the same.
#[tokio::test]
async fn a_paper_that_two_searches_miss_on_different_days_is_named_once() {
    let mut app = listing().subscriber(ANA, &[GNN, "molecules"]).start().await;
    app.run_on("2026-02-09").await;
    let ids = app.announce(
        "2026-02-09",
        [TITLE, "A graph neural network", "On molecules"].map(paper),
    );
    app.run_on("2026-02-10").await;
    revise(&app, &ids[0], "2026-02-10", |paper| {
        paper.title = "On crystals".to_owned();
    });
    for (day, is_silent) in [("2026-02-11", true), ("2026-02-12", false)] {
        app.arxiv.answers(move |asked| {
            let is_failing = !asked.id_list.is_empty() || (is_silent && asked.asks_for("molecules"));
            if is_failing { status(503) } else { Answer::Ordinary }
        });
        app.arxiv.take_log();
        let report = app.run_on(day).await;
        assert_eq!(report.incomplete.len(), usize::from(is_silent), "{day}");
        let log = app.arxiv.take_log();
        let named: Vec<&str> = log
            .iter()
            .map(|asked| asked.id_list.as_str())
            .filter(|list| !list.is_empty())
            .collect();
        assert_eq!(named, [ids[0].as_str()], "{day}");
    }
}
