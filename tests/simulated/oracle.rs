//! A model's server with OpenAI's interface: it says what a test makes of a question, refuses where the test does, and keeps
//! what it was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What is said about a request, in pieces; `None` refuses it: the server is busy.
type Says = dyn Fn(&Value) -> Option<Vec<String>> + Send + Sync;

/// The server. It ends with the process.
pub struct Oracle {
    pub address: SocketAddr,
    pub asked: Arc<Mutex<Vec<Value>>>,
}

impl Oracle {
    /// One that always says the same.
    pub fn saying(pieces: &'static [&'static str]) -> Oracle {
        Oracle::answering(move |_| Some(pieces.iter().map(|piece| (*piece).to_owned()).collect()))
    }

    /// One that says what a function makes of the request.
    pub fn answering(says: impl Fn(&Value) -> Option<Vec<String>> + Send + Sync + 'static) -> Oracle {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let says: Arc<Says> = Arc::new(says);
        let heard = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, heard, says) = (stream.unwrap(), Arc::clone(&heard), Arc::clone(&says));
                std::thread::spawn(move || {
                    let Some(body) = request(&mut stream) else { return };
                    heard.lock().unwrap().push(body.clone());
                    let _ = stream.write_all(reply(says(&body)).as_bytes());
                });
            }
        });
        Oracle { address, asked }
    }

    /// As an option names its model.
    pub fn model(&self, name: &str) -> String {
        format!("http://{}/v1#{name}", self.address)
    }

    /// How often it was asked.
    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

/// The body of a request; nothing where the caller went away.
fn request(stream: &mut TcpStream) -> Option<Value> {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 8_192];
        let read = stream.read(&mut buffer).ok()?;
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        match serde_json::from_str::<Value>(body) {
            Ok(body) => return Some(body),
            Err(_) if read == 0 => return None,
            Err(_) => {}
        }
    }
}

fn reply(pieces: Option<Vec<String>>) -> String {
    let Some(pieces) = pieces else {
        return "HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
    };
    let mut said = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned();
    for piece in pieces {
        said.push_str(&format!("data: {}\n\n", json!({"choices": [{"delta": {"content": piece}}]})));
    }
    said + "data: [DONE]\n\n"
}
