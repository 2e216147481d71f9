//! nginx (Debian's `nginx-light`) as a child process in front of the product, with a folder of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::child;

/// The running nginx; killed when dropped.
pub struct Nginx {
    pub address: SocketAddr,
    child: Child,
    folder: PathBuf,
}

impl Nginx {
    /// Starts one on `port`. `http` gives what stands in its block `http` after the lines that every nginx here needs; it is
    /// told the folder where files may be kept.
    ///
    /// # Panics
    /// With what is missing or went wrong.
    pub async fn start(port: u16, http: impl FnOnce(&Path) -> String) -> Self {
        let program = child::find(&["nginx", "/usr/sbin/nginx"], "-v")
            .expect("nginx is missing: run scripts/install-test-needs, or install nginx-light");
        let folder = std::env::temp_dir().join(format!("cloakroom-nginx-{port}"));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("nginx.conf");
        fs::write(&file, configuration(&folder, &http(&folder))).unwrap();
        let said = folder.join("stderr.log");
        let mut command = child::command(program);
        command
            .arg("-p")
            .arg(&folder)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said).unwrap());
        let child = child::spawn(command).unwrap();
        let mut nginx =
            Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), child, folder };
        for _ in 0..1_000 {
            if tokio::net::TcpStream::connect(nginx.address).await.is_ok() {
                return nginx;
            }
            let ended = nginx.child.try_wait().unwrap();
            assert!(ended.is_none(), "{:?}", fs::read_to_string(said));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nginx does not start");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        child::kill(&mut self.child);
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

fn configuration(folder: &Path, http: &str) -> String {
    let folder = folder.display();
    format!(
        r"
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {http}
}}
"
    )
}
