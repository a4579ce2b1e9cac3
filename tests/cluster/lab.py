"""Several machines on one: a laptop and hosts h1 (the head) to hN, for a real `ray up` over ssh.

    python tests/cluster/lab.py up 3 | exec HOST COMMAND | kill HOST | boot HOST | cut HOST | heal HOST | down

A host is a network namespace (10.77.0.10+i, a cable to a bridge in a namespace of its own, so the
machine's own network is never touched and nothing leads out), a PID, mount, UTS and IPC namespace, a private
root (overlay over /, changes in memory) with an empty home, and an sshd as init. The checkout is hidden on
every host; the laptop has a copy in its home. /shared is one folder for all and is not cut with a network.
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = Path(sys.prefix).resolve()
PREFIX, NET = "upsweep", "10.77.0"
SWITCH, GATE = f"{PREFIX}-switch", f"{NET}.1"
DISK = Path("/dev/shm/upsweep-lab")  # an overlay's changes may not lie below what it covers
HOME = "/home/lab"
METADATA_PORT = 1338
"""Where a worker would find its cloud's metadata service; nobody listens until a test makes one."""
EXPORTS: list[str] = []
"""NAME=VALUE of what hosts have in their environment beside, as an instance profile gives credentials."""
TOOLS = ("unshare", "ip", "sshd", "ssh", "rsync", "nsenter", "git")
BASE = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

INIT = r"""
set -eu
mount --make-rprivate /
hostname "$HOST"
mkdir -p "$D/up" "$D/work" "$D/root" "$D/tmp" "$DISK/shared"
mount -t overlay overlay -o "lowerdir=/,upperdir=$D/up,workdir=$D/work" "$D/root"
cd "$D/root"
mkdir -p shared
mount --rbind /dev dev
mount -t tmpfs -o size=512m tmpfs dev/shm
mount -t tmpfs tmpfs run
mount --bind "$D/tmp" tmp; chmod 1777 tmp
mount --bind "$DISK/shared" shared
mkdir -p ".$CHECKOUT"; mount -t tmpfs tmpfs ".$CHECKOUT"
mkdir -p ".$VENV"; mount --rbind "$VENV" ".$VENV"; mount -o remount,bind,ro ".$VENV"
mkdir -p run/sshd run/key
cp "$DISK/key" "$DISK/key.pub" run/key/; chmod 600 run/key/key
pivot_root . mnt
cd /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
umount -l /mnt
if [ ! -e /etc/upsweep_lab ]; then  # first boot: a fresh machine
  sed -i "s|^root:\([^:]*:[^:]*:[^:]*:[^:]*\):[^:]*:|root:\1:$LAB_HOME:|" /etc/passwd
  mkdir -p "$LAB_HOME/.ssh"; chmod 700 "$LAB_HOME/.ssh"
  printf '%s\n' "$PROFILE" > "$LAB_HOME/.bashrc"; cp "$LAB_HOME/.bashrc" "$LAB_HOME/.profile"
  cp /run/key/key.pub "$LAB_HOME/.ssh/authorized_keys"
  if [ "$HOST" = laptop ]; then
    cp /run/key/key "$LAB_HOME/.ssh/lab_key"
    cp -r "/shared/.checkout" "$LAB_HOME/upsweep"
  else
    ln -s "$VENV" "$LAB_HOME/venv"  # as a machine image with the dependencies has it
  fi
  printf '%s\n' "$NAMES" > /etc/hosts
  : > /etc/resolv.conf  # nobody answers here: a question would wait for its time to run out
  echo "$HOST" > /etc/upsweep_lab
fi
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/sbin/sshd -D -e -f /dev/null \
  -h /run/key/key -o PidFile=none \
  -o PermitRootLogin=prohibit-password -o UsePAM=no -o MaxStartups=100 -o MaxSessions=100 \
  -o Subsystem="sftp internal-sftp"
"""


def sh(command: str, check: bool = True, **options) -> subprocess.CompletedProcess:
    """Run a command given as one line."""
    return subprocess.run(shlex.split(command), check=check, text=True, **options)


def out(command: str) -> str:
    """What a command prints, whether or not it succeeds."""
    return sh(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def namespaces() -> list[str]:
    """The laboratory's own."""
    names = [line.split()[0] for line in out("ip netns list").splitlines() if line.strip()]
    return [n for n in names if n.startswith(f"{PREFIX}-")]


def hosts() -> list[str]:
    """Laptop and hosts, on or off."""
    return sorted(n.removeprefix(f"{PREFIX}-") for n in namespaces() if n != SWITCH)


def address(host: str) -> str:
    """Its address."""
    return f"{NET}.{10 if host == 'laptop' else 10 + int(host[1:])}"


def init_pid(host: str) -> int | None:
    """The host's PID 1 as seen from here; None when it is off. No pid file, so never stale."""
    for pid in out(f"ip netns pids {PREFIX}-{host}").split():
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        inner = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        if len(inner) > 2 and inner[-1] == "1" and "State:\tZ" not in status:
            return int(pid)
    return None


def cut(host: str) -> None:
    """Its frames are lost silently; the carrier stays on."""
    sh(f"ip -n {SWITCH} link set {PREFIX}.{host} nomaster")


def heal(host: str) -> None:
    """The end of a cut."""
    sh(f"ip -n {SWITCH} link set {PREFIX}.{host} master br0 up")


def boot(host: str) -> None:
    """Power on; the disk of an earlier life is kept."""
    if init_pid(host):
        return heal(host)
    _plug(host)
    disk = DISK / host
    disk.mkdir(parents=True, exist_ok=True)
    own = {"HOST": host, "NAMES": _names(), "D": str(disk), "DISK": str(DISK), "VENV": str(VENV)}
    own |= {"CHECKOUT": str(ROOT), "LAB_HOME": HOME, "PROFILE": _profile(host), "PATH": BASE}
    words = ["ip", "netns", "exec", f"{PREFIX}-{host}", "unshare", "--pid", "--mount", "--uts", "--ipc"]
    with open(disk / "console.log", "a") as log:
        subprocess.Popen(
            [*words, "--fork", "--kill-child", "sh", "-c", INIT],
            env=own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.time() + 20
    while not _listening(host):
        if time.time() > deadline:
            raise RuntimeError(f"{host} did not boot:\n" + (disk / "console.log").read_text())
        time.sleep(0.05)
    return None


def _names() -> str:
    """What every machine knows of the others without a name server."""
    known = ["laptop", *(f"h{i}" for i in range(1, 10))]
    return "\n".join(["127.0.0.1 localhost", *(f"{address(h)} {h}" for h in known)])


def _plug(host: str) -> None:
    name = f"{PREFIX}-{host}"
    if name not in namespaces():
        sh(f"ip netns add {name}")
        sh(f"ip -n {name} link add eth0 type veth peer name {PREFIX}.{host} netns {SWITCH}")
        sh(f"ip -n {name} addr add {address(host)}/24 dev eth0")
        for device in ("lo", "eth0"):
            sh(f"ip -n {name} link set {device} up")
        # without a default route Ray takes 127.0.0.1 for the node's address
        sh(f"ip -n {name} route add default via {GATE}")
    heal(host)


def _profile(host: str) -> str:
    """What the machine itself sets, as a cloud's image or instance profile would."""
    # Cores and memory are those of the whole box: Ray's own niceness would starve its workers beside other
    # work, and its memory watch would end them for what others hold.
    ray = "RAY_worker_niceness=0 RAY_memory_monitor_refresh_ms=0"
    lines = [f"export PATH={BASE} OMP_NUM_THREADS=1 {ray} {' '.join(EXPORTS)}"]
    if host == "laptop":
        lines = [f"export PATH={VENV}/bin:{BASE} OMP_NUM_THREADS=1 AUTOSCALER_NODE_SSH_INTERVAL_S=1"]
    elif host == "h1":  # a silent death is seen in ten seconds instead of a minute
        lines.append("export RAY_health_check_period_ms=1000 RAY_health_check_timeout_ms=2000")
        lines.append("export RAY_health_check_failure_threshold=3 AUTOSCALER_HEARTBEAT_TIMEOUT_S=10")
        lines.append("export AUTOSCALER_UPDATE_INTERVAL_S=1 AUTOSCALER_NODE_SSH_INTERVAL_S=1")
    else:  # one trial at a time
        lines.append("""export RAY_OVERRIDE_RESOURCES='{"CPU": 1}'""")
        lines.append(f"export UPSWEEP_METADATA=http://127.0.0.1:{METADATA_PORT}")
    return "\n".join(lines)


def _listening(host: str) -> bool:
    return bool(init_pid(host)) and ":22 " in out(f"ip netns exec {PREFIX}-{host} ss -Hltn")


def kill(host: str) -> None:
    """Power cut. The cable first: the others must learn of it from silence, not from a FIN."""
    if f"{PREFIX}-{host}" in namespaces():
        cut(host)
    while pid := init_pid(host):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        time.sleep(0.05)


def up(count: int) -> None:
    """Laptop and `count` hosts."""
    DISK.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (DISK / "key").exists():
        sh(f"ssh-keygen -q -t ed25519 -N '' -C lab -f {DISK}/key")
        _checkout(DISK / "shared" / ".checkout")
    if SWITCH not in namespaces():
        sh(f"ip netns add {SWITCH}")
        sh(f"ip -n {SWITCH} link set lo up")
        sh(f"ip -n {SWITCH} link add br0 type bridge")
        sh(f"ip -n {SWITCH} addr add {GATE}/24 dev br0")
        sh(f"ip -n {SWITCH} link set br0 up")
    for host in ["laptop", *(f"h{i}" for i in range(1, count + 1))]:
        boot(host)


def _checkout(target: Path) -> None:
    """The working tree as it is, committed, for the laptop."""
    listed = out(f"git -C {ROOT} ls-files -z --cached --others --exclude-standard").split("\0")
    for name in [n for n in listed if n and (ROOT / n).is_file()]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    git = f"git -C {target} -c user.name=lab -c user.email=lab@localhost"
    for words in ("init -q", "add -A", "commit -q -m lab"):
        sh(f"{git} {words}")


def inside(host: str, words: list[str]) -> list[str]:
    """The command line that runs `words` in a host's namespaces."""
    pid = init_pid(host)
    if not pid:
        raise RuntimeError(f"{host} is off")
    clean = ["env", "-i", f"HOME={HOME}", "TERM=xterm", "LANG=C.UTF-8"]
    return [*clean, "nsenter", "-t", str(pid), "-m", "-n", "-p", "-u", "-i", *words]


def start(host: str, command: str, **options) -> "subprocess.Popen[str]":
    """Begin a command in a login shell of `host`, in its home; works while its network is cut."""
    return subprocess.Popen(inside(host, ["bash", "-lc", f"cd; {command}"]), text=True, **options)


def execute(host: str, command: str, timeout: float = 120, check: bool = True) -> str:
    """What a command prints on `host`, both streams; AssertionError with it where it fails."""
    words = inside(host, ["bash", "-lc", f"cd; {command}"])
    done = subprocess.run(
        words,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    assert not check or done.returncode == 0, f"{host}: {command}\n{done.stdout}"
    return done.stdout


def processes(host: str) -> list[str]:
    """Command lines on the host, its sshd left out."""
    pid, rows = init_pid(host), []
    if not pid:
        return rows
    space = os.readlink(f"/proc/{pid}/ns/pid")
    for p in out(f"ip netns pids {PREFIX}-{host}").split():
        try:
            if int(p) != pid and os.readlink(f"/proc/{p}/ns/pid") == space:
                rows.append(Path(f"/proc/{p}/cmdline").read_text().replace("\0", " ").strip())
        except OSError:
            pass
    return [r for r in rows if r]


def down() -> None:
    """End every host; namespaces, disks, keys and /shared go."""
    for host in hosts():
        kill(host)
    for name in namespaces():
        for pid in out(f"ip netns pids {name}").split():  # what was begun in it from outside
            os.kill(int(pid), signal.SIGKILL)
        sh(f"ip netns del {name}")
    shutil.rmtree(DISK, ignore_errors=True)


def main(words: list[str]) -> None:
    """The command line above."""
    verb, rest = words[0], words[1:]
    if verb == "up":
        up(int(rest[0]))
    elif verb == "exec":
        sys.exit(subprocess.run(inside(rest[0], ["bash", "-lc", f"cd; {' '.join(rest[1:])}"])).returncode)
    elif verb in ("kill", "boot", "cut", "heal"):
        globals()[verb](rest[0])
    elif verb == "ps":
        for host in hosts():
            print(*(f"{host} {line[:150]}" for line in processes(host)), sep="\n")
    elif verb == "down":
        down()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:] or ["help"])
