//! The program under test: started, read line by line, asked over HTTP, and ended with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// No step of a test may take longer.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How long one that is not needed any more may take to end in order.
const LEAVING: Duration = Duration::from_secs(3);

pub struct Program {
    child: Child,
    said: Receiver<String>,
    /// What was read of `said`.
    pub heard: Vec<String>,
}

/// An environment of its own: nothing of the machine's settings gets in.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memgate"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null());
    command
}

/// Runs it to its end: exit code, standard output, standard error.
pub fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

impl Program {
    pub fn start(arguments: &[&str]) -> Self {
        Self::from(command(arguments))
    }

    pub fn from(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (say, said) = channel();
        let pipes: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for pipe in pipes {
            let say = say.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    if say.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            child,
            said,
            heard: Vec::new(),
        }
    }

    /// The first line from now on that holds this text.
    pub fn line_with(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.said.recv_timeout(left) else {
                panic!("no line with {text:?} after {:#?}", self.heard);
            };
            self.heard.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// The address at the end of such a line.
    pub fn address_after(&mut self, text: &str) -> SocketAddr {
        let line = self.line_with(text);
        line.rsplit([' ', '/'])
            .find_map(|word| word.parse().ok())
            .unwrap()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end: how it ended, and after how long.
    pub fn end(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        // Its pipes close when it ends.
        loop {
            match self
                .said
                .recv_timeout(PATIENCE.saturating_sub(began.elapsed()))
            {
                Ok(line) => self.heard.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    panic!("still running: {:#?}", self.heard)
                }
            }
        }
        (self.child.wait().unwrap(), began.elapsed())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // So that it can clear away what it has put somewhere; it may have ended by itself.
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .stderr(Stdio::null())
            .status();
        let deadline = Instant::now() + LEAVING;
        while asked.is_ok()
            && Instant::now() < deadline
            && matches!(self.child.try_wait(), Ok(None))
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP/1.1 request on a connection of its own, and the bare answer as it comes.
pub fn send(address: SocketAddr, target: &str, body: &str) -> TcpStream {
    send_with(address, target, "connection: close\r\n", body)
}

fn send_with(address: SocketAddr, target: &str, fields: &str, body: &str) -> TcpStream {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let method = if body.is_empty() { "GET" } else { "POST" };
    write!(
        socket,
        "{method} {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-test-master-0001\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    socket
}

/// The same of a client that would keep its connection: all that comes until it is closed.
pub fn ask_to_stay(address: SocketAddr, target: &str, body: &str) -> String {
    let mut answer = String::new();
    send_with(address, target, "", body)
        .read_to_string(&mut answer)
        .unwrap();
    answer
}

/// The whole answer, head and body.
pub fn ask(address: SocketAddr, target: &str, body: &str) -> String {
    let mut answer = String::new();
    send(address, target, body)
        .read_to_string(&mut answer)
        .unwrap();
    answer
}

/// A folder with these files in it.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

pub fn path(folder: &tempfile::TempDir, name: &str) -> String {
    let path: &Path = folder.path();
    path.join(name).to_str().unwrap().to_owned()
}

/// LiteLLM's file: a direct model and one of LiteLLM's own.
pub const MODELS: &str = r#"model_list:
  - model_name: claude-sonnet-4.5
    litellm_params:
      model: anthropic/claude-sonnet-4-5-20250929
      api_base: https://api.supermemory.ai/v3/https://api.anthropic.com
      api_key: sk-ant-test-provider
      extra_headers: {x-supermemory-api-key: sm-test-key}
  - model_name: gpt-test
    litellm_params: {model: openai/gpt-test}
general_settings: {master_key: sk-test-master-0001}
user_id_mappings: {default_user_id: team}
"#;

/// `memgate sim` and `memgate run` before it, as two processes.
pub struct World {
    pub memgate: Program,
    pub address: SocketAddr,
    pub control: SocketAddr,
    pub folder: tempfile::TempDir,
    _sim: Program,
}

impl World {
    pub fn new(sim: &[&str]) -> Self {
        Self::with(sim, "")
    }

    /// With these lines in memgate.yaml.
    pub fn with(sim: &[&str], lines: &str) -> Self {
        Self::in_environment(sim, lines, &[])
    }

    /// With these variables, too.
    pub fn in_environment(sim: &[&str], lines: &str, variables: &[(&str, &str)]) -> Self {
        let folder = folder(&[("config.yaml", MODELS)]);
        let ca = path(&folder, "ca.pem");
        let anywhere = "127.0.0.1:0";
        let mut arguments = vec![
            "sim",
            "--listen",
            anywhere,
            "--control",
            anywhere,
            "--litellm",
            anywhere,
            "--ca-out",
            &ca,
        ];
        arguments.extend(sim);
        let mut sim = Program::start(&arguments);
        let edge = sim.address_after("edge ");
        let control = sim.line_with("control ");
        let control = control
            .split("//")
            .nth(1)
            .and_then(|rest| rest.split('/').next()?.parse().ok())
            .unwrap();
        let litellm = sim.address_after("litellm ");
        let own = format!(
            "listen: ['127.0.0.1:0']\nadmin: 127.0.0.1:0\nauth: {{litellm: false}}\nlitellm: {{config: config.yaml, urls: ['http://{litellm}']}}\n\
             direct: {{bypass: none, ca_file: ca.pem, resolve: {{'api.supermemory.ai:443': '{edge}'}}}}\n{lines}"
        );
        std::fs::write(folder.path().join("memgate.yaml"), own).unwrap();
        let mut run = command(&["run", "--config", &path(&folder, "memgate.yaml")]);
        run.envs(variables.iter().copied());
        let mut memgate = Program::from(run);
        let address = memgate.address_after("serving on");
        Self {
            _sim: sim,
            memgate,
            address,
            control,
            folder,
        }
    }
}

impl World {
    /// The admin port's address: it is told after the data port's.
    pub fn admin(&mut self) -> SocketAddr {
        self.memgate.address_after("admin port on")
    }

    pub fn rewrite(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

/// A turn with this model, streamed if asked.
pub fn turn(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","stream":{stream},"max_tokens":64,"messages":[{{"role":"user","content":"hello"}}]}}"#
    )
}
