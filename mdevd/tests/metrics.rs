//! Metrics of a real daemon, read by a parser that is not ours; their document and their dashboard.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use mdevd::metrics::FAMILIES;
use serde_json::Value;
use support::{House, Said, tools};

fn document(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const GET: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// The body of an answer.
fn body(mut stream: impl Read + Write) -> String {
    stream.write_all(GET).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    match head.contains("transfer-encoding: chunked") {
        true => unchunked(body),
        false => body.to_owned(),
    }
}

/// RFC 9112 section 7.1.
fn unchunked(mut text: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, rest) = text.split_once("\r\n").expect("a size");
        let size = usize::from_str_radix(size, 16).expect("in hexadecimal");
        if size == 0 {
            return body;
        }
        body.push_str(&rest[..size]);
        text = rest[size..].strip_prefix("\r\n").expect("an end");
    }
}

/// A port that was free a moment ago.
fn free() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    socket.local_addr().expect("an address").to_string()
}

/// Python that has the Prometheus project's own parser: the system's, as Debian packages it.
fn python() -> Option<&'static str> {
    let python = "/usr/bin/python3";
    let has = Command::new(python)
        .args(["-c", "import prometheus_client.parser"])
        .stderr(Stdio::null())
        .status();
    if has.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    tools::cannot("there is no prometheus_client (Debian package python3-prometheus-client)");
    None
}

/// Every sample that the parser finds, as `[name, type, labels, value]`.
const PARSE: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
found = []
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        found.append([sample.name, family.type, sample.labels, sample.value])
print(json.dumps(found))
";

fn fed(mut command: Command, text: &str) -> Said {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(text.as_bytes())
        .expect("taken");
    Said::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn prometheus_own_parser_reads_what_is_offered() {
    let house = House::new();
    let address = free();
    let file = house.dir.path().join("mdevd.toml");
    std::fs::write(&file, "rate-groups = \"web=5000\"\n").expect("written");
    let file = file.display().to_string();
    let daemon = house.start(&["--config", &file, "--metrics-listen", &address]);
    daemon.json(&["create", "vm1", "--queue-pairs", "2", "--group", "web"]);
    let text = body(TcpStream::connect(&address).expect("connected"));

    if let Some(python) = python() {
        let mut command = Command::new(python);
        command.args(["-c", PARSE]);
        let said = fed(command, &text);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
        let samples: Vec<(String, String, BTreeMap<String, String>, f64)> =
            serde_json::from_str(&said.out).expect("JSON");
        for family in FAMILIES {
            let of: Vec<_> = samples
                .iter()
                .filter(|sample| sample.0 == family.name)
                .collect();
            for (_, kind, labels, _) in &of {
                assert_eq!(kind, family.kind.word(), "{}", family.name);
                let names: BTreeSet<_> = labels.keys().map(String::as_str).collect();
                assert_eq!(
                    names,
                    family.labels.iter().copied().collect(),
                    "{}",
                    family.name
                );
            }
            // Nothing was dropped, and there is no uplink.
            let none = family.name.contains("dropped") || family.name.contains("uplink");
            assert_eq!(of.is_empty(), none, "{}: {of:?}", family.name);
        }
        let queues = samples
            .iter()
            .filter(|sample| sample.0 == "mdevd_cvf_receive_bytes_total");
        assert_eq!(queues.count(), 2);
        let version = samples
            .iter()
            .find(|sample| sample.0 == "mdevd_build_info")
            .expect("one");
        assert_eq!(version.2["version"], env!("CARGO_PKG_VERSION"));
    }
    if let Some(promtool) = tools::optional("promtool") {
        let mut command = Command::new(promtool);
        command.args(["check", "metrics"]);
        let said = fed(command, &text);
        assert_eq!(
            (said.code, said.out.as_str(), said.err.as_str()),
            (0, "", ""),
            "{said:?}"
        );
    }
}

#[test]
fn a_unix_socket_offers_the_same_and_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::new();
    let path = house.dir.path().join("m.sock");
    let file = house.file(&format!("metrics-listen = \"unix:{}\"\n", path.display()));
    let daemon = house.start(&["--config", &file]);
    daemon.json(&["create", "vm1"]);
    let text = body(UnixStream::connect(&path).expect("connected"));
    assert!(
        text.contains("mdevd_cvf_state{cvf=\"vm1\",state=\"ready\"} 1\n"),
        "{text}"
    );
    let mode = std::fs::metadata(&path)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let log = daemon.stop();
    assert!(log.contains("metrics are offered"), "{log}");
    assert!(!path.exists(), "it goes with the daemon");
}

#[test]
fn an_address_that_is_taken_stops_the_start() {
    let house = House::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("an address").to_string();
    let said = Said::of(house.run(&["--metrics-listen", &address]));
    assert_eq!(said.code, 1, "{said:?}");
    let refusal = format!("cannot offer metrics at {address}: ");
    assert!(
        said.err.contains(&refusal) && said.err.contains("give another address"),
        "{said:?}"
    );
}

#[test]
fn the_document_lists_every_metric_as_it_is() {
    let text = document("docs/metrics.md");
    let listed: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let row = |family: &mdevd::metrics::Family| {
        let labels: Vec<_> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (name, kind, labels) = (family.name, family.kind.word(), labels.join(", "));
        format!("| `{name}` | {kind} | {labels} | {} |", family.help)
    };
    let rows: Vec<_> = FAMILIES.iter().map(row).collect();
    assert_eq!(listed, rows);
}

/// Names of metrics in an expression of PromQL: words with a prefix of ours.
fn metrics(expression: &str) -> Vec<&str> {
    expression
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("mdevd_") || word.starts_with("process_"))
        .collect()
}

#[test]
fn the_dashboard_uses_metrics_and_labels_that_exist() {
    let dashboard: Value =
        serde_json::from_str(&document("data/grafana/mdevd.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let mut expressions: Vec<(String, String)> = Vec::new();
    for panel in panels {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
            expressions.push((text("expr"), text("legendFormat")));
        }
    }
    for variable in dashboard["templating"]["list"]
        .as_array()
        .expect("variables")
    {
        if let Some(query) = variable["query"]["query"].as_str() {
            expressions.push((query.to_owned(), String::new()));
        }
    }
    assert!(expressions.len() > 20, "{}", expressions.len());
    let mut used = BTreeSet::new();
    for (expression, legend) in &expressions {
        let names = metrics(expression);
        assert!(!names.is_empty(), "{expression}");
        let known: Vec<_> = names
            .iter()
            .map(|name| FAMILIES.iter().find(|family| family.name == *name))
            .map(|family| family.unwrap_or_else(|| panic!("no such metric: {expression}")))
            .collect();
        for label in legend
            .split("{{")
            .skip(1)
            .map(|rest| rest.split("}}").next().unwrap_or_default())
        {
            let has =
                known.iter().any(|family| family.labels.contains(&label)) || label == "instance";
            assert!(has, "no such label: {legend}: {expression}");
        }
        used.extend(names);
    }
    assert!(used.len() > 15, "{used:?}");
    // Panels do not lie on one another.
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}
