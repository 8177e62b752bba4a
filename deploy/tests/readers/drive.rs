// Asks the reader what its standard input says, a word a line.
use std::io::BufRead;

#[path = "../../readers/reader.rs"]
mod reader;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let redis = redis::Connection::open(&words[1], words[2].parse().unwrap()).unwrap();
    let mut reader = reader::WeChatToken { redis, token: None, read_again: 0 };
    let mut last = String::new();
    for word in std::io::stdin().lock().lines() {
        let token = if word.unwrap() == "get" { reader.get() } else { reader.report(&last) };
        last = token.unwrap().unwrap_or("-".to_string());
        println!("{}", last);
    }
}
