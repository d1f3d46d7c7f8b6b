//! What ARCHITECTURE.md says of the tree is true of the tree.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Source files may be this long; tables and tests may be longer.
const LINES_MAX: usize = 520;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Files that git would track, below `folder`, with this ending.
fn sources(folder: &str, ending: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, ending, found);
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), ending, &mut found);
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Room → the rooms that it uses, from the table in ARCHITECTURE.md:
/// `| \`room\` | sentence | \`a\`, \`b\` |`.
fn documented_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let words = |cell: &str| -> Vec<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let table = text.split("## Rooms").nth(1).expect("a section named Rooms");
    table
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (words(cells[1])[0].clone(), words(cells[3]).into_iter().collect())
        })
        .collect()
}

/// Room → the rooms that its crate depends on, tests and benchmarks aside.
fn real_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let room = |name: &str| name.trim_start_matches("baikonur-").to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["manifest_path"].as_str().unwrap().contains("/crates/"))
        .map(|package| {
            let uses = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|d| d["kind"].is_null())
                .map(|d| d["name"].as_str().unwrap())
                .filter(|name| name.starts_with("baikonur-"))
                .map(room)
                .collect();
            (room(package["name"].as_str().unwrap()), uses)
        })
        .collect()
}

#[test]
fn rooms_and_arrows_are_those_of_the_map() {
    assert_eq!(documented_arrows(), real_arrows());
}

#[test]
fn every_room_and_module_introduces_itself() {
    let silent: Vec<String> = sources("crates", ".rs")
        .iter()
        .filter(|path| path.components().any(|c| c.as_os_str() == "src"))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| shown(path))
        .collect();
    assert!(silent.is_empty(), "no `//!` header: {silent:#?}");
}

#[test]
fn no_room_is_a_drawer() {
    let banned = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];
    let drawers: Vec<String> = sources("crates", ".rs")
        .iter()
        .filter(|path| {
            path.components().any(|c| {
                let name = c.as_os_str().to_string_lossy();
                banned.contains(&name.trim_end_matches(".rs"))
            })
        })
        .map(|path| shown(path))
        .collect();
    assert!(drawers.is_empty(), "name the one idea instead: {drawers:#?}");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let mut lengths: Vec<(usize, String)> = sources("crates", ".rs")
        .iter()
        .filter(|path| {
            let name = shown(path);
            !name.contains("/tests") && !name.contains("/benches/")
        })
        .map(|path| (fs::read_to_string(path).unwrap().lines().count(), shown(path)))
        .collect();
    lengths.sort();
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > LINES_MAX).collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:#?}");
    let p90 = lengths[lengths.len() * 9 / 10].0;
    assert!(p90 <= 400, "nine of ten files have at most 400 lines; now {p90}");
}

#[test]
fn nothing_is_left_for_later() {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X "), concat!("#[ig", "nore")];
    let mut found = Vec::new();
    for path in sources("crates", ".rs").into_iter().chain(sources("tests", ".rs")) {
        for (number, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "do it, or file it: {found:#?}");
}

#[test]
fn ci_runs_the_command_that_the_readme_gives() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(readme.contains("\ntests/run.sh\n"), "the README's test command is tests/run.sh");
    assert!(ci.trim_end().ends_with("\ntests/run.sh"), "and CI ends with it");
}

/// What stands between two backticks, and what stands before it.
fn quoted(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts: Vec<&str> = text.split('`').collect();
    (1..parts.len()).step_by(2).map(move |at| (parts[at - 1], parts[at]))
}

/// The page on the event source mapping with each run of white space as one space.
fn semantics() -> String {
    let page = fs::read_to_string(root().join("docs/event-source-mapping.md")).unwrap();
    page.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Short name → file, as the page on the event source mapping says it: `` `name` is `path` ``.
fn files_of_tests(page: &str) -> BTreeMap<&str, &str> {
    let words: Vec<(&str, &str)> = quoted(page).collect();
    let pairs = words.windows(2).map(|two| (two[0].1, two[1]));
    let files = pairs.filter(|(_, (before, file))| *before == " is " && file.ends_with(".rs"));
    files.map(|(name, (_, file))| (name, file)).collect()
}

/// Tests that the page names, `` file › `one`, `another` ``, each with the short name of its file.
fn named_tests(page: &str) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    let mut file = None;
    for (before, word) in quoted(page) {
        match before.strip_suffix(" › ") {
            Some(before) => file = before.rsplit([' ', '(']).next(),
            None if before == ", " => {}
            None => file = None,
        }
        named.extend(file.map(|file| (file, word)));
    }
    named
}

#[test]
fn every_test_that_the_semantics_table_names_is_in_the_file_that_it_names() {
    let page = semantics();
    let (files, tests) = (files_of_tests(&page), named_tests(&page));
    assert!(files.len() >= 10 && tests.len() >= 30, "{files:?} {tests:?}");
    let mut wrong = Vec::new();
    for (file, test) in &tests {
        let path = files.get(file).map(|path| root().join(path));
        let source = path.and_then(|path| fs::read_to_string(path).ok());
        if !source.is_some_and(|source| source.contains(&format!("fn {test}()"))) {
            wrong.push(format!("{file} › {test}"));
        }
    }
    assert!(wrong.is_empty(), "docs/event-source-mapping.md names no tests: {wrong:#?}");
}

#[test]
fn each_line_of_the_semantics_table_is_shown_by_a_test() {
    let page = fs::read_to_string(root().join("docs/event-source-mapping.md")).unwrap();
    let text = semantics();
    let files = files_of_tests(&text);
    let mut lines = page.lines();
    let (mut shown, mut silent) = (0, Vec::new());
    while let Some(line) = lines.next() {
        if !line.ends_with("| shown by |") {
            continue;
        }
        for row in lines.by_ref().skip(1).take_while(|row| row.starts_with('|')) {
            let cell = row.trim_end_matches('|').rsplit('|').next().unwrap();
            let first = cell.split_whitespace().next().unwrap_or("").trim_end_matches([',', ';']);
            shown += 1;
            if !files.contains_key(first) {
                silent.push(row.to_owned());
            }
        }
    }
    assert!(shown >= 25, "{shown} lines");
    assert!(silent.is_empty(), "these name no test: {silent:#?}");
}
