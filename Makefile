# make book and make test are all that a reader needs; both set up .venv first, once.
PYTHON = python3
VENV   = .venv
DATA   =
URL    =
REF    =
CHAPTERS =

# These six come from the command line alone, and reach a command as the words that they are: no $(...) in them is
# expanded, no quote ends a string.
override PYTHON := $(value PYTHON)
override VENV   := $(value VENV)
override DATA   := $(value DATA)
override URL    := $(value URL)
override REF    := $(value REF)
override CHAPTERS := $(value CHAPTERS)
export PYTHON VENV DATA URL REF CHAPTERS
unexport CDPATH

# What the commands see of the reader's environment: this and nothing else. Not in it, among many: MPLBACKEND, which
# takes the figures off the pages, PYTHONPATH, the settings of Jupyter, and RESNET_DYNAMICS_CACHE.
PASSED := PATH HOME USER LOGNAME SHELL TERM NO_COLOR TMPDIR LD_LIBRARY_PATH OMP_NUM_THREADS CUDA_VISIBLE_DEVICES

# What finds a registry of packages or a download, for the commands that do.
NETWORK := http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY \
	SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NETRC XDG_CONFIG_HOME XDG_CONFIG_DIRS \
	PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX PIP_TRUSTED_HOST PIP_PROXY PIP_CERT PIP_CLIENT_CERT \
	PIP_CONFIG_FILE PIP_CACHE_DIR PIP_RETRIES PIP_TIMEOUT PIP_DEFAULT_TIMEOUT PIP_KEYRING_PROVIDER

pass   = $(foreach name,$(1),$${$(name)+"$(name)=$$$(name)"})
CLEAN := env -i $(call pass,$(PASSED)) PYTHONUTF8=1 PYTHONNOUSERSITE=1 MATPLOTLIBRC=/dev/null
ONLINE := $(CLEAN) $(call pass,$(NETWORK))

# pip, whatever pip.conf says of where to install and how; where from is the reader's.
PIP := $(ONLINE) PIP_USER=0 PIP_NO_DEPS=0 PIP_REQUIRE_VIRTUALENV=0 PIP_CONSTRAINT=/dev/null PIP_NO_INPUT=1 \
	PIP_DISABLE_PIP_VERSION_CHECK=1 "$$VENV/bin/python" -P -m pip install -q \
	--target= --root=/ --prefix="$$(cd "$$VENV" && pwd)"

# A command of the environment, in the folder _build.
BUILD = umask 022 && bin="$$(cd "$$VENV/bin" && pwd)" && cd _build && $(CLEAN) HOME="$$PWD/home" PATH="$$bin:$$PATH" \
	JUPYTER_NO_CONFIG=1 JUPYTER_PREFER_ENV_PATH=1

# Prints why the pins cannot be installed by this Python, if so.
SUITABLE := import platform, sys; sys.exit( \
	"Python 3.11 to 3.14 is needed, and this is {}.{}; name one with: make PYTHON=python3.11 (after rm -r {})".format( \
		*sys.version_info[:2], sys.argv[1]) if not (3, 11) <= sys.version_info[:2] <= (3, 14) else \
	"PyTorch is no longer made for Macs with an Intel processor, so the book cannot be built on one" \
		if (sys.platform, platform.machine()) == ("darwin", "x86_64") else 0)

# What npm installs, pinned by its hashes: esbuild, AssemblyScript and biome.
MODULES := src/explorer/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help setup install book html zh chinese test colab lowest lint recordings explorer live picture lock repository \
	teach figures clean

help:
	@echo "make book                     build the book; prints the file to open"
	@echo "make test                     run every test: the package, the chapters, the built pages"
	@echo "make colab                    run every chapter as Colab would, in a twin of it (PYTHON=python3.13, if there is one)"
	@echo "make lowest                   run chapters and the package's tests at the package's lower bounds"
	@echo "make lint                     ruff; biome for JavaScript and CSS (needs node and npm)"
	@echo "make recordings DATA=archive  record what the book shows and is missing (without DATA: torchvision's CIFAR-10)"
	@echo "make explorer                 bundle src/explorer into the package again (needs node and npm)"
	@echo "make live                     record a run of every story of the live network again (needs node and npm)"
	@echo "make chinese                  take changed sentences into the catalogues of the Chinese pages, book/locale"
	@echo "make teach                    write the editions for a class: of students, of their teacher, for nbgrader; slides"
	@echo "make figures                  draw the figures of all chapters as SVG and PDF, for slides, in the time of make book"
	@echo "                              (CHAPTERS='05-equilibrium 06-lars': those of some)"
	@echo "make picture                  draw the picture of README.md again"
	@echo "make lock                     write requirements.txt from requirements.in again (needs uv)"
	@echo "make repository URL=https://github.com/OWNER/NAME REF=v1.2.3   say where the project lives, and which tag or"
	@echo "                              branch of it notebooks install; without REF or URL that one stays as it is"
	@echo "make clean                    remove what was built; .venv stays"

# The stamp is written last: an interrupted set-up starts again, a finished one is not repeated.
setup:
	@[ "$$VENV/.installed" -nt requirements.txt ] && [ "$$VENV/.installed" -nt pyproject.toml ] \
		|| $(MAKE) --no-print-directory install

install:
	@test -x "$$VENV/bin/python" || $(CLEAN) "$$PYTHON" -c '$(SUITABLE)' "$$VENV"
	@test -x "$$VENV/bin/python" || $(CLEAN) "$$PYTHON" -m venv "$$VENV" \
		|| { echo "python3 -m venv does not work here; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(CLEAN) "$$VENV/bin/python" -c '$(SUITABLE)' "$$VENV"
	@echo "pip install -r requirements.txt"
	@$(PIP) --require-hashes --only-binary=:all: -r requirements.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch "$$VENV/.installed"

book: setup
	@$(MAKE) --no-print-directory html
	@echo "Open $$PWD/_build/html/index.html"

# The bare build, always from nothing: a kept page would hide a change of the package. It has a home and a working
# directory of its own, without anybody's matplotlibrc, IPython profile or kernels; what its runs remember goes with it.
# Then the Chinese pages, from what the English build executed.
html:
	@rm -rf _build
	@mkdir -p _build/home
	@$(BUILD) "$$bin/jupyter-book" build .. --all -W -n --keep-going
	@test ! -d book/locale || $(MAKE) -s --no-print-directory zh

zh:
	@rm -rf _build/zh _build/html/zh
	@$(BUILD) "$$bin/python" -P ../book/_chinese.py stage zh .
	@$(BUILD) "$$bin/jupyter-book" build zh --path-output zh --all -W -n --keep-going -q >/dev/null
	@mv _build/zh/_build/html _build/html/zh

# Changed sentences go into the catalogues of the Chinese pages; says which are to be translated.
chinese: setup
	@$(CLEAN) "$$VENV/bin/python" -P book/_chinese.py update

# Two processes: one builds the book and reads its pages, the other meanwhile takes the rest, file by file.
test: setup
	@$(ONLINE) "$$VENV/bin/python" -P -m pytest -n 2

# Two more environments, in .twins, 6 GB each: what Colab ships, and the lower bounds of the package.
colab lowest:
	@$(ONLINE) "$$PYTHON" .ci/twins.py $@

# A lint that has not looked at everything does not pass.
lint: setup
	@$(CLEAN) "$$VENV/bin/ruff" check .
	@command -v npm >/dev/null || { echo "JavaScript and CSS were not checked: install node 18 or newer, with npm" \
		"(on Debian and Ubuntu: apt-get install nodejs npm), and run make lint again"; exit 1; }
	@$(MAKE) -s --no-print-directory $(MODULES)
	@$(CLEAN) src/explorer/node_modules/.bin/biome check --error-on-warnings .

recordings: setup
	@$(ONLINE) $(call pass,RESNET_DYNAMICS_CACHE) \
		"$$VENV/bin/python" -P -m resnet_dynamics record $${DATA:+--data "$$DATA"}
	@$(ONLINE) $(call pass,RESNET_DYNAMICS_CACHE) "$$VENV/bin/python" -P -m resnet_dynamics.language

# The package carries the bundle, so that nobody else needs node.
explorer: $(MODULES)
	cd src/explorer && node build.js

# What pages show of the live network where there is no JavaScript.
live: explorer
	cd src/explorer && node record.js

# npm writes it last.
$(MODULES): src/explorer/package-lock.json
	cd src/explorer && npm ci --no-audit --no-fund --silent

picture: setup
	@$(CLEAN) MPLBACKEND=agg "$$VENV/bin/python" book/_picture.py

# The editions for a class. Standard library only; outputs and slides come from the book that make html built last, if
# there is one.
teach:
	@rm -rf _build/teach/student _build/teach/instructor _build/teach/nbgrader _build/teach/slides
	@$(CLEAN) "$$PYTHON" book/_teach.py _build/teach

# The figures of chapters as files. Runs that the book that was built last remembers are not trained again.
figures: setup
	@mkdir -p _build/home
	@bin="$$(cd "$$VENV/bin" && pwd)" && $(CLEAN) HOME="$$PWD/_build/home" PATH="$$bin:$$PATH" \
		JUPYTER_NO_CONFIG=1 JUPYTER_PREFER_ENV_PATH=1 "$$bin/python" book/_figures.py _build/teach/figures $$CHAPTERS

lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
		--custom-compile-command "make lock" requirements.in -o requirements.txt

repository:
	@$(CLEAN) "$$PYTHON" book/_repository.py "$$URL" "$$REF"

clean:
	rm -rf _build build .pytest_cache .ruff_cache
