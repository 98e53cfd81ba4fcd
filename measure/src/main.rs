//! `headroom-measure load` and `headroom-measure lambda` read their configuration as JSON from standard input.

mod http;
mod lambda;
mod law;
mod load;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["load"] => runtime.block_on(load::run(read())),
        ["lambda"] => runtime.block_on(lambda::run(read())),
        ["environment", cold_us, dsn, mode] => {
            let cold_us = cold_us.parse().expect("microseconds");
            runtime.block_on(lambda::environment(cold_us, dsn, mode));
        }
        _ => eprintln!("headroom-measure load|lambda < configuration.json"),
    }
}

fn read<T: serde::de::DeserializeOwned>() -> T {
    serde_json::from_reader(std::io::stdin()).expect("a configuration as JSON")
}
