//! The Daily Papers page and its sister formats after real runs, and templates that somebody works on.

use std::{collections::BTreeMap, fs, sync::Arc};

use paperround::{
    admin::{self, Command, PreviewFormat},
    app::{self, App},
    arxiv::atom,
    config::Environment,
    export::Format,
    model::Definition,
};
use tokio_util::sync::CancellationToken;

use crate::harness::{
    app::{Setup, TestApp},
    arxiv::{Answer, status},
    papers::{Paper, paper},
};

const ANA: &str = "ana@example.net";
const GNN: &str = "graph neural network";
const DIFFUSION: &str = "diffusion model";

/// Ana reads two keywords, and the page is written as Markdown and as JSON.
async fn published() -> TestApp {
    Setup::new()
        .section("[page]\nmarkdown = \"pages/README.md\"\njson = \"pages/papers.json\"")
        .subscriber(ANA, &[GNN, DIFFUSION])
        .start()
        .await
}

/// A paper of each keyword.
fn one_of_each(words: &str) -> [Paper; 2] {
    [
        paper(&format!("A graph neural network for {words}")),
        paper(&format!("A diffusion model of {words}")),
    ]
}

/// The sections of the Markdown page by their heading, each to its last byte.
fn sections(page: &str) -> BTreeMap<String, String> {
    page.split("\n## ")
        .skip(1)
        .map(|section| {
            let (heading, rows) = section.split_once('\n').expect("a heading ends its line");
            (heading.to_owned(), rows.trim_end().to_owned())
        })
        .collect()
}

#[tokio::test]
async fn the_page_follows_each_run_and_a_section_that_was_not_fetched_stays_as_it_was() {
    let mut app = published().await;
    app.announce("2026-02-09", one_of_each("molecules"));
    app.run_on("2026-02-10").await;
    let read = |app: &TestApp| {
        let page = fs::read_to_string(app.path("pages/README.md")).expect("the page is there");
        let json = fs::read_to_string(app.path("pages/papers.json")).expect("the papers are there");
        (
            page,
            serde_json::from_str::<serde_json::Value>(&json).expect("it is JSON"),
        )
    };
    let (first, first_json) = read(&app);
    assert!(first.starts_with("# Daily Papers\n\n"), "{first}");
    assert!(first.contains("\nLast update: 2026-02-10\n\n## "), "{first}");
    assert_eq!(sections(&first).keys().collect::<Vec<_>>(), [DIFFUSION, GNN]);
    assert!(sections(&first).values().all(|rows| rows.contains("molecules")));

    // One keyword fails: its section is byte for byte the former one, the other goes on, and the date tells of the run.
    app.announce("2026-02-10", one_of_each("proteins"));
    app.arxiv.answers(|asked| {
        if asked.asks_for(DIFFUSION) {
            status(500)
        } else {
            Answer::Ordinary
        }
    });
    assert_eq!(app.run_on("2026-02-11").await.incomplete.len(), 1);
    let (second, second_json) = read(&app);
    assert!(second.contains("\nLast update: 2026-02-11\n"), "{second}");
    assert_eq!(sections(&second)[DIFFUSION], sections(&first)[DIFFUSION]);
    let rows = &sections(&second)[GNN];
    assert!(rows.find("proteins") < rows.find("molecules"), "{rows}");
    let of = |json: &serde_json::Value, keyword: &str| {
        let all = json["sections"].as_array().expect("a list").clone();
        let mut one = all
            .into_iter()
            .find(|section| section["keyword"] == keyword)
            .expect("it is there");
        let is_complete = one.as_object_mut().expect("an object").remove("complete");
        (is_complete == Some(serde_json::Value::Bool(true)), one)
    };
    assert_eq!(of(&second_json, DIFFUSION), (false, of(&first_json, DIFFUSION).1));
    assert_eq!(of(&second_json, GNN).1["papers"].as_array().map(Vec::len), Some(2));

    // Well again, it catches up. Nobody is left with a draft.
    app.arxiv.is_well();
    app.run_on("2026-02-12").await;
    let (third, _) = read(&app);
    assert!(sections(&third)[DIFFUSION].contains("proteins"), "{third}");
    let names: Vec<String> = fs::read_dir(app.path("pages"))
        .expect("the folder is there")
        .flatten()
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[tokio::test]
async fn a_page_that_cannot_be_written_costs_nobody_their_digest() {
    let mut app = Setup::new()
        .section("[page]\nmarkdown = \"taken/README.md\"")
        .subscriber(ANA, &[GNN])
        .start()
        .await;
    // A file stands where the folder should be.
    fs::write(app.path("taken"), "mine").expect("the directory is writable");
    let ids = app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    assert_eq!(app.new_papers_of(ANA), ids);
    assert_eq!(fs::read_to_string(app.path("taken")).expect("it is there"), "mine");
}

#[tokio::test]
async fn export_writes_the_same_papers_in_every_format() {
    let mut app = published().await;
    let ids = app.announce("2026-02-09", one_of_each("molecules"));
    app.run_on("2026-02-10").await;
    let program = app.build().await;
    let export = |format| {
        let program = &program;
        async move { admin::execute(program, &Command::Export { format }).await.output }
    };
    let atom = export(Format::Atom).await;
    let mut read: Vec<String> = atom::parse(atom.as_bytes())
        .expect("it is a feed")
        .papers
        .iter()
        .map(|paper| paper.id.to_string())
        .collect();
    read.sort();
    assert_eq!(read, ids);
    let json: serde_json::Value = serde_json::from_str(&export(Format::Json).await).expect("it is JSON");
    assert_eq!(json["sections"].as_array().map(Vec::len), Some(2));
    let markdown = export(Format::Markdown).await;
    let bibtex = export(Format::Bibtex).await;
    let ris = export(Format::Ris).await;
    assert_eq!(
        bibtex.matches("\n@").count() + usize::from(bibtex.starts_with('@')),
        2,
        "{bibtex}"
    );
    assert_eq!(ris.matches("TY  - ").count(), 2, "{ris}");
    assert_eq!(ris.matches("ER  - ").count(), 2, "{ris}");
    for id in &ids {
        for (format, text) in [
            ("markdown", &markdown),
            ("bibtex", &bibtex),
            ("ris", &ris),
            ("json", &json.to_string()),
        ] {
            assert!(text.contains(id.as_str()), "{id} in {format}: {text}");
        }
    }
}

#[tokio::test]
async fn a_changed_template_shows_in_the_next_preview_and_a_broken_one_does_not_spoil_it() {
    let mut app = Setup::new()
        .digest("templates_dir", "\"templates\"")
        .subscriber(ANA, &[GNN])
        .start()
        .await;
    fs::create_dir(app.path("templates")).expect("the directory is writable");
    app.announce("2026-02-09", [paper("A graph neural network for molecules")]);
    app.run_on("2026-02-10").await;
    app.new_mails();
    let preview = Command::Preview {
        subscriber: None,
        format: PreviewFormat::Text,
        days: Some(7),
        welcome: false,
    };
    let mut shown = Vec::new();
    for text in [
        "First {{ page.headline }}",
        "Second {{ page.headline }}",
        "Third {% if %}",
    ] {
        fs::write(app.path("templates/digest.txt.j2"), text).expect("the directory is writable");
        let program = app.build().await;
        shown.push(admin::execute(&program, &preview).await.output);
    }
    assert_eq!(shown[0].trim(), "First 1 new paper");
    assert_eq!(shown[1].trim(), "Second 1 new paper");
    assert!(shown[2].contains("Only paper: A graph neural network"), "{}", shown[2]);
    assert_eq!(app.new_mails(), [], "looking sends nothing");
}

/// All keywords of all subscribers, as a run looks them up.
fn definitions(app: &App) -> Vec<Definition> {
    let people = app.roster.people().iter();
    let keywords = people.flat_map(|person| person.keywords());
    keywords.map(|(_, definition)| definition.clone()).collect()
}

#[tokio::test]
async fn a_reload_keeps_the_compiled_keywords_unless_they_change() {
    let mut app = Setup::new().subscriber(ANA, &[GNN, DIFFUSION]).start().await;
    let run = async |program: &App| {
        admin::run_everyone(program, &CancellationToken::new())
            .await
            .expect("the store works");
    };
    let ids = app.announce("2026-02-09", one_of_each("molecules"));
    app.it_is("2026-02-10");
    let first = app.build().await;
    run(&first).await;
    let compiled = first.run.lexicon.of(&definitions(&first)).0;

    // Another schedule, another subscriber of the same keywords: the next run finds what the last one left.
    app.reconfigure(|setup| {
        setup
            .line("schedule = \"0 6 * * *\"")
            .subscriber("bo@example.net", &[DIFFUSION])
    });
    let load = |app: &TestApp| app::load_config(&app.config_path(), &Environment::default()).expect("it is in order");
    let second = first.rebuild(load(&app)).expect("the settings can be used");
    let more = app.announce("2026-02-10", one_of_each("proteins"));
    app.it_is("2026-02-11");
    run(&second).await;
    assert!(Arc::ptr_eq(&compiled, &second.run.lexicon.of(&definitions(&second)).0));
    assert_eq!(app.papers_of(ANA), [ids, more].concat());

    // A new keyword needs a new automaton, which is kept in turn.
    app.reconfigure(|setup| setup.subscriber("cy@example.net", &["causal inference"]));
    let third = second.rebuild(load(&app)).expect("the settings can be used");
    run(&third).await;
    let changed = third.run.lexicon.of(&definitions(&third)).0;
    assert!(!Arc::ptr_eq(&compiled, &changed));
    let fourth = third.rebuild(load(&app)).expect("the settings can be used");
    run(&fourth).await;
    assert!(Arc::ptr_eq(&changed, &fourth.run.lexicon.of(&definitions(&fourth)).0));
}
