"""Apache Kafka itself: one KRaft node on loopback, from its Maven artifacts, that can be killed and started again."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

from tests.fetched import fetch_once

POM = Path(__file__).with_name("pom.xml")
USER, PASSWORD = "fleet", "open-sesame-7391"
_KEYSTORE_PASSWORD = "changeit"

# The broker ends by -9 when the pipe to its shell is closed: with us, however we end.
_TIED_TO_PARENT = 'log=$1; shift; "$@" >>"$log" 2>&1 & echo $!; read -r _; kill -9 $! 2>/dev/null; wait $!'

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure},WIRED://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure},WIRED://127.0.0.1:{wire}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,WIRED:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
num.network.threads=1
num.io.threads=2
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={jaas}.plain.PlainLoginModule required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={jaas}.scram.ScramLoginModule required;
ssl.keystore.location={keystore}
ssl.keystore.password={keystore_password}
"""


def fetch_kafka() -> Path:
    """The folder of Kafka's jars; raises NotHere with the reason."""
    name = f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", "-DoutputDirectory={folder}"]
    return fetch_once(name, ("java", "keytool", "mvn"), command, {})


class KafkaServer:
    """One broker with its data in a folder; `ca` is the certificate by which its TLS listener is known.

    A third listener, `behind_wire`, tells clients to come by way of a port where a bad wire may be put up.
    """

    def __init__(self, folder: Path, jars: Path) -> None:
        self._folder = folder
        self._java = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        self._java += ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars}/*"]
        self.ca = make_certificate(folder / "broker")
        plain, secure, controller, behind, self.wire_port = _free_ports(5)
        self.behind_wire = behind
        self.address, self.secure_address = f"127.0.0.1:{plain}", f"127.0.0.1:{secure}"
        self._config = folder / "server.properties"
        self._config.write_text(
            _PROPERTIES.format(
                plain=plain,
                secure=secure,
                controller=controller,
                behind=behind,
                wire=self.wire_port,
                data=folder / "data",
                jaas="org.apache.kafka.common.security",
                user=USER,
                password=PASSWORD,
                keystore=self.ca.with_suffix(".p12"),
                keystore_password=_KEYSTORE_PASSWORD,
            )
        )
        tool = [*self._java, "kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw"]
        scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        subprocess.run([*tool, "-c", str(self._config), "--add-scram", scram], check=True, capture_output=True)

    def start(self) -> None:
        """Start it on its data, on the same ports, and wait until it answers."""
        log = self._folder / "broker.log"
        command = ["/bin/sh", "-c", _TIED_TO_PARENT, "kafka", str(log), *self._java, "kafka.Kafka", str(self._config)]
        self._shell = subprocess.Popen(command, stdin=PIPE, stdout=PIPE, start_new_session=True)
        assert self._shell.stdout is not None
        self.pid = int(self._shell.stdout.readline())
        deadline = time.monotonic() + 240
        while not self._answers():
            if time.monotonic() > deadline or not Path(f"/proc/{self.pid}").exists():
                raise RuntimeError(f"Kafka did not start: {log.read_text()[-2000:]}")
            time.sleep(0.2)

    def kill(self) -> None:
        """kill -9; its data stays."""
        self._shell.communicate(timeout=120)

    def pause(self) -> None:
        """SIGSTOP: connections stay, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", int(self.address.partition(":")[2])), timeout=1).close()
        except OSError:
            return False
        return True


def make_certificate(path: Path, host: str = "127.0.0.1") -> Path:
    """Make a key (PATH.p12) with a certificate of its own (PATH.pem), and return the certificate."""
    store = ["-keystore", f"{path}.p12", "-storepass", _KEYSTORE_PASSWORD, "-alias", "broker"]
    name = ["-keyalg", "RSA", "-dname", f"CN={host}", "-ext", f"SAN=IP:{host}", "-ext", "BC=ca:true"]
    for command in (["-genkeypair", *name], ["-exportcert", "-rfc", "-file", f"{path}.pem"]):
        subprocess.run(["keytool", *command, *store], check=True, capture_output=True)
    return path.with_suffix(".pem")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in sockets]
