//! What `docs/architecture.md` says about who may import whom, held against the source.

use std::path::{Path, PathBuf};

/// `libcvf`'s modules; each imports only those before it.
const ORDER: [&str; 13] = [
    "sync",
    "kept",
    "mem",
    "pci",
    "ledger",
    "offload",
    "ring",
    "switch",
    "control",
    "personality",
    "dataplane",
    "pf",
    "cvf",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below a folder of the workspace, with its path from there.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = workspace().join(folder);
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    assert!(!paths.is_empty(), "{folder} has sources");
    let relative = |path: PathBuf| {
        let text = read(&path);
        (path.strip_prefix(&root).expect("below").to_owned(), text)
    };
    paths.into_iter().map(relative).collect()
}

/// A line without its comment, the words of strings included: good enough for names and keywords.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Modules named behind `crate::` in a file, with `{}` lists taken apart, outside of comments.
fn imports(text: &str) -> Vec<String> {
    let code: String = text.lines().map(code).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, start) in code.match_indices("crate::") {
        let rest = &code[at + start.len()..];
        let names = match rest.strip_prefix('{') {
            None => rest
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .take(1)
                .collect(),
            Some(list) => top_level(list),
        };
        found.extend(names.into_iter().map(str::to_owned));
    }
    found
}

/// First words of the entries of a `{}` list that is open at the start of `list`.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(words(list[start..at].trim_start()).next());
                start = at + 1;
                if c == '}' {
                    return found;
                }
            }
            _ => {}
        }
    }
    found
}

fn first(path: &Path) -> String {
    let first = path.iter().next().expect("a name").to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn a_violation_would_be_seen() {
    let text = "use crate::mem::Regions;\n// crate::cvf\nuse crate::{\n ring::{A, B},\n pf, offload::C};\n";
    assert_eq!(imports(text), ["mem", "ring", "pf", "offload"]);
    assert_eq!(imports("fn f(x: crate::cvf::Cvf)"), ["cvf"]);
}

#[test]
fn the_order_is_the_documents() {
    let text = read(&workspace().join("docs/architecture.md"));
    let (_, section) = text.split_once("## libcvf").expect("a section on libcvf");
    let section = section.split("\n### ").next().unwrap_or_default();
    let rows: Vec<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let known = rows.iter().filter(|row| ORDER.contains(row)).count();
    assert_eq!(
        known,
        rows.len(),
        "{rows:?} has a module that this test does not know"
    );
    assert_eq!(known, ORDER.len(), "{rows:?} lacks a module");
    let listed = sources("libcvf/src");
    for (path, _) in &listed {
        let module = first(path);
        let known =
            ORDER.contains(&module.as_str()) || ["lib", "limits"].contains(&module.as_str());
        assert!(known, "{module} has no place in the order");
    }
}

#[test]
fn libcvfs_modules_import_only_those_above_them() {
    for (path, text) in sources("libcvf/src") {
        let module = first(&path);
        let Some(own) = ORDER.iter().position(|name| *name == module) else {
            continue;
        };
        for name in imports(&text) {
            if let Some(other) = ORDER.iter().position(|module| **module == name) {
                assert!(
                    other <= own,
                    "libcvf/src/{}: `{module}` imports `{name}`, which is below it",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn unsafe_lives_in_mem_and_sys() {
    for folder in [
        "libcvf/src",
        "vfio-user-server/src",
        "mdevd/src",
        "policies/src",
    ] {
        for (path, text) in sources(folder) {
            let sys = path.iter().any(|part| part == "sys" || part == "sys.rs");
            let mem = folder == "libcvf/src" && path.starts_with("mem");
            if sys || mem {
                continue;
            }
            for (number, line) in text.lines().enumerate() {
                let found = words(code(line)).any(|word| word == "unsafe");
                assert!(!found, "{folder}/{}:{}: {line}", path.display(), number + 1);
            }
        }
    }
}

/// Names under `[dependencies]` of a package.
fn dependencies(package: &str) -> Vec<String> {
    let text = read(&workspace().join(package).join("Cargo.toml"));
    let (_, section) = text.split_once("[dependencies]").expect("dependencies");
    let section = section.split("\n[").next().unwrap_or_default();
    let name = |line: &str| {
        let name = line.split(['.', '=', ' ']).next()?;
        (!name.is_empty() && !name.starts_with('#')).then(|| name.to_owned())
    };
    section.lines().filter_map(name).collect()
}

#[test]
fn packages_depend_on_what_they_may() {
    let never = |package: &str, what: &[&str]| {
        let found = dependencies(package);
        for name in what {
            assert!(
                !found.iter().any(|is| is == name),
                "{package} depends on {name}"
            );
        }
    };
    never(
        "libcvf",
        &[
            "tokio",
            "zbus",
            "redb",
            "clap",
            "serde",
            "vfio-user-server",
            "policies",
            "mdevd",
        ],
    );
    never(
        "vfio-user-server",
        &["libcvf", "policies", "mdevd", "zbus", "redb"],
    );
    never(
        "policies",
        &[
            "tokio",
            "zbus",
            "redb",
            "nix",
            "libc",
            "mdevd",
            "vfio-user-server",
        ],
    );
    assert!(
        dependencies("libcvf").contains(&"parking_lot".to_owned()),
        "they are read"
    );
}
