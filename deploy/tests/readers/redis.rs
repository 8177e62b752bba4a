// A stand-in of what the reader calls of the crate redis.
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

pub type RedisResult<T> = std::io::Result<T>;

pub struct Connection(BufReader<TcpStream>);

impl Connection {
    pub fn open(host: &str, port: u16) -> RedisResult<Connection> {
        Ok(Connection(BufReader::new(TcpStream::connect((host, port))?)))
    }

    fn line(&mut self) -> RedisResult<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end().to_string())
    }

    fn value(&mut self) -> RedisResult<Option<String>> {
        Ok(if self.line()? == "$-1" { None } else { Some(self.line()?) })
    }
}

pub trait Commands {
    fn mget<A: std::str::FromStr, B: std::str::FromStr>(
        &mut self, keys: &[&str],
    ) -> RedisResult<(Option<A>, Option<B>)>;
    fn rpush<T: std::str::FromStr>(&mut self, key: &str, value: &str) -> RedisResult<T>;
}

impl Commands for Connection {
    fn mget<A: std::str::FromStr, B: std::str::FromStr>(
        &mut self, keys: &[&str],
    ) -> RedisResult<(Option<A>, Option<B>)> {
        write!(self.0.get_mut(), "MGET {}\r\n", keys.join(" "))?;
        self.line()?;
        let (first, second) = (self.value()?, self.value()?);
        Ok((first.and_then(|one| one.parse().ok()), second.and_then(|one| one.parse().ok())))
    }

    fn rpush<T: std::str::FromStr>(&mut self, key: &str, value: &str) -> RedisResult<T> {
        write!(self.0.get_mut(), "RPUSH {} {}\r\n", key, value)?;
        let line = self.line()?;
        line[1..].parse().map_err(|_| std::io::Error::new(std::io::ErrorKind::Other, line))
    }
}
