//! The seeds of the fuzz targets, and cases made from them, through the same checks: what was once found stays mended, on
//! every machine. How to run a million cases is said in `fuzz/README.md`.

#![expect(clippy::unwrap_used, reason = "the helpers of a test fail with it")]

use std::{collections::BTreeMap, fs, path::Path};

#[path = "../../fuzz/src/checks/mod.rs"]
#[expect(unreachable_pub, reason = "the crate of the fuzzers exports them")]
mod checks;
#[path = "../../fuzz/src/mutations.rs"]
mod mutations;

/// Panics where a promise about these bytes is broken.
type Check = fn(&[u8]);

/// Targets whose checks need nothing that only the fuzzers' build has; the seeds of `record` are replayed beside the code.
const TARGETS: [(&str, Check); 9] = [
    ("atom", checks::atom),
    ("bounce", checks::bounce),
    ("config", checks::config),
    ("oai", checks::oai),
    ("query", checks::query),
    ("reply", checks::reply),
    ("rss", checks::rss),
    ("tex", checks::tex),
    ("token", checks::token),
];

#[test]
fn every_seed_passes_its_check() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (target, check) in TARGETS {
        let mut n_seeds = 0;
        for seed in fs::read_dir(fuzz.join("corpus").join(target)).unwrap() {
            let path = seed.unwrap().path();
            println!("{}", path.display());
            check(&fs::read(path).unwrap());
            n_seeds += 1;
        }
        assert!(n_seeds >= 5, "only {n_seeds} seeds for {target}");
    }
    let n_targets = fs::read_dir(fuzz.join("fuzz_targets")).unwrap().count();
    assert_eq!(n_targets, TARGETS.len() + 1, "a target is not replayed");
}

/// A test for each target, so that they run beside each other, with as many cases as take a few seconds unoptimised.
macro_rules! changed_seeds_pass {
    ($($test:ident: $target:ident $n_cases:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            mutations::run(stringify!($target), $n_cases, checks::$target);
        })*
    };
}

changed_seeds_pass! {
    changed_seeds_of_atom_pass: atom 3_000,
    changed_seeds_of_bounce_pass: bounce 10_000,
    changed_seeds_of_config_pass: config 800,
    changed_seeds_of_oai_pass: oai 3_000,
    changed_seeds_of_query_pass: query 600,
    changed_seeds_of_reply_pass: reply 3_000,
    changed_seeds_of_rss_pass: rss 3_000,
    changed_seeds_of_tex_pass: tex 400,
    changed_seeds_of_token_pass: token 10_000,
}

/// The fuzzers must read with the libraries that the program reads with.
#[test]
fn the_fuzzers_use_the_same_versions_of_libraries() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
    let (ours, theirs) = (
        versions(&folder.join("Cargo.lock")),
        versions(&folder.join("fuzz/Cargo.lock")),
    );
    for name in manifest["dependencies"].as_table().unwrap().keys() {
        // The tests' own libraries may bring another version beside it.
        assert!(
            theirs[name].iter().all(|version| ours[name].contains(version)),
            "{name}: cp Cargo.lock fuzz/ && (cd fuzz && cargo metadata > /dev/null)"
        );
    }
}

fn versions(lock: &Path) -> BTreeMap<String, Vec<String>> {
    let lock: toml::Table = fs::read_to_string(lock).unwrap().parse().unwrap();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        versions.entry(text("name")).or_default().push(text("version"));
    }
    versions
}
