//! The program as a newcomer uses it: commands, exit codes, files, README.

use std::path::PathBuf;
use std::process::{Command, Output};

fn headroom(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_headroom"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("CLICOLOR_FORCE")
        .output()
        .unwrap()
}

fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    path
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn without_a_file_the_built_in_scenario_runs_and_is_no_failure() {
    let output = headroom(&["--quiet"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let out = text(&output.stdout);
    for name in ["lambda", "dns", "nodeport", "nginx", "nginx-untuned"] {
        assert!(out.contains(name), "{out}");
    }
}

#[test]
fn failed_thresholds_end_with_99_and_files_are_written() {
    let dir = folder("run-out");
    let path = dir.to_str().unwrap();
    let args = [
        "run",
        "scenarios/lambda-to-kubernetes.json",
        "--replications",
        "3",
        "--out",
        path,
        "--format",
        "json",
    ];
    let output = headroom(&args);
    assert_eq!(code(&output), 99, "{}", text(&output.stderr));
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("result.json")).unwrap()).unwrap();
    assert_eq!(printed, written);
    assert_eq!(printed["schema_version"], 1);
    assert_eq!(printed["replications"], 3);
    for file in [
        "summary.csv",
        "series.csv",
        "failures.csv",
        "cost.csv",
        "nodes.csv",
        "latency.svg",
        "latency.png",
        "cost_per_user.svg",
    ] {
        assert!(dir.join(file).exists(), "{file}");
    }
    assert!(
        !std::fs::read_dir(&dir).unwrap().any(|e| e
            .unwrap()
            .path()
            .extension()
            .is_some_and(|x| x == "part"))
    );
}

#[test]
fn threads_and_a_second_run_change_no_byte() {
    let run = |threads: &str| {
        let args = [
            "run",
            "scenarios/lambda-to-kubernetes.json",
            "--replications",
            "3",
            "--format",
            "json",
            "--threads",
            threads,
        ];
        headroom(&args).stdout
    };
    let one = run("1");
    assert!(!one.is_empty());
    for threads in ["2", "8", "2"] {
        assert!(run(threads) == one, "{threads} threads give other bytes");
    }
}

#[test]
fn wrong_files_are_told_kindly() {
    let dir = folder("bad");
    std::fs::create_dir_all(&dir).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    for (args, exit, says) in [
        (vec!["run".to_owned(), "nowhere.json".into()], 2, "E0001"),
        (vec!["run".into(), ".".into()], 2, "E0002"),
        (vec!["run".into(), write("empty.json", b"")], 2, "E0106"),
        (vec!["run".into(), write("binary.json", &[0x7f, b'E', 0xff, 0])], 2, "E0101"),
        (vec!["run".into(), write("cut.json", br#"{"name": "x", "workload": {"#)], 2, "E0102"),
        (vec!["run".into(), write("list.json", b"[1, 2]")], 2, "E0206"),
        (vec!["run".into(), "--out".into(), "/proc/nowhere".into()], 1, "E0003"),
        (vec!["run".into(), "--prices".into(), write("p.json", b"{}")], 2, "E0320"),
        (vec!["explain".into(), "workload.*.laod".into()], 2, "did you mean `load`"),
        (vec!["chekc".into()], 2, "check"),
        (vec!["report".into(), "nowhere.json".into()], 2, "E0001"),
        (vec!["diff".into(), "nowhere.json".into(), "nowhere.json".into()], 2, "E0001"),
        (vec!["verify".into(), "--hpa".into(), "nowhere.json".into()], 2, "E0001"),
        (vec!["verify".into(), "--measured".into(), "nowhere".into()], 2, "E0001"),
        (vec!["verify".into(), "--case".into(), "nope".into()], 2, "E0378"),
        (vec!["verify".into(), "--case".into(), "mm1-lod".into()], 2, "did you mean \"mm1"),
        (vec!["run".into(), "--replications".into(), "1".into()], 2, "2..=100000"),
        (vec!["run".into(), "--replications".into(), "1".into()], 2, "error[E0006]: invalid value"),
        (vec!["run".into(), "--nope".into()], 2, "error[E0006]: unexpected argument"),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = headroom(&args);
        let err = text(&output.stderr);
        assert_eq!(code(&output), exit, "{args:?}: {err}");
        assert!(err.contains(says), "{args:?}: {err}");
        assert!(!err.contains("panicked"), "{err}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_typing_error_gets_a_caret_and_a_guess() {
    let dir = folder("typo");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("typo.json");
    let text_in = include_str!("../../src/cli/templates/cluster.json")
        .replace("\"worker_connections\"", "\"worker_conections\"");
    std::fs::write(&path, text_in).unwrap();
    let output = headroom(&["check", path.to_str().unwrap()]);
    let out = text(&output.stdout);
    assert_eq!(code(&output), 2);
    assert!(
        out.contains("error[E0201]")
            && out.contains("^^^")
            && out.contains("did you mean `worker_connections`"),
        "{out}"
    );
}

#[test]
fn init_check_and_run_go_together() {
    let dir = folder("init");
    std::fs::create_dir_all(&dir).unwrap();
    for template in ["compare", "lambda", "cluster"] {
        let path = dir.join(format!("{template}.json"));
        let path = path.to_str().unwrap();
        assert_eq!(code(&headroom(&["init", template, "--out", path])), 0);
        assert_eq!(
            code(&headroom(&["init", template, "--out", path])),
            2,
            "an existing file is not touched"
        );
        assert_eq!(code(&headroom(&["check", path])), 0);
        let output = headroom(&["run", path, "--replications", "2", "--quiet"]);
        assert!([0, 99].contains(&code(&output)), "{}", text(&output.stderr));
        assert_eq!(code(&headroom(&["plan", path])), 0);
    }
}

#[test]
fn yaml_is_read_by_the_same_reader() {
    let dir = folder("yaml");
    std::fs::create_dir_all(&dir).unwrap();
    let json = include_str!("../../src/cli/templates/lambda.json");
    let path = dir.join("s.yaml");
    // JSON after a comment is YAML.
    std::fs::write(&path, format!("# a comment\n{json}")).unwrap();
    let output =
        headroom(&["run", path.to_str().unwrap(), "--replications", "2", "--format", "json"]);
    let direct = headroom(&[
        "run",
        "src/cli/templates/lambda.json",
        "--replications",
        "2",
        "--format",
        "json",
    ]);
    assert!(
        output.stdout == direct.stdout && !output.stdout.is_empty(),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn help_man_and_completions() {
    let dir = folder("man");
    assert_eq!(code(&headroom(&["man", dir.to_str().unwrap()])), 0);
    assert!(dir.join("headroom.1").exists() && dir.join("headroom-run.1").exists());
    for shell in ["bash", "zsh", "fish"] {
        let output = headroom(&["completions", shell]);
        assert!(code(&output) == 0 && text(&output.stdout).contains("headroom"));
    }
    let help = text(&headroom(&["--help"]).stdout);
    assert!(help.contains("Exit codes") && help.contains("Examples"), "{help}");
    let schema: serde_json::Value = serde_json::from_slice(&headroom(&["schema"]).stdout).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_leaves_no_half_file() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_headroom"))
        .args(["run", "src/cli/templates/lambda.json", "--replications", "2", "--format", "json"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(code(&output), 1);
    assert!(text(&output.stderr).contains("E0005"), "{}", text(&output.stderr));
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_cleanly_and_shows_nothing_half_done() {
    let child = Command::new(env!("CARGO_BIN_EXE_headroom"))
        .args(["run", "scenarios/lambda-to-kubernetes.json", "--replications", "100000"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 130, "{}", text(&output.stderr));
    let err = text(&output.stderr);
    assert!(err.contains("interrupted"), "{err}");
    // Whole replications of every design are kept, and the table says how many.
    let out = text(&output.stdout);
    assert!(out.is_empty() || err.contains("of 100000 replications"), "{err}");
    assert!(out.is_empty() || out.contains("Interrupted: all figures rest on"), "{out}");
}

/// Every `$ headroom …` block of the README and the docs is run, and prints what the block says.
#[test]
fn commands_in_the_documents_do_what_they_say() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut run = 0;
    for name in
        ["README.md", "CONTRIBUTING.md", "docs/design.md", "docs/measuring.md", "docs/verify.md"]
    {
        let Ok(document) = std::fs::read_to_string(root.join(name)) else { continue };
        run += super::common::follow(name, &document, &|args| {
            let output = headroom(args);
            text(&output.stdout) + &text(&output.stderr)
        });
    }
    assert!(run >= 4, "the README shows commands");
}
