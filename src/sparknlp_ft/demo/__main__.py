"""``python -m sparknlp_ft.demo``: the whole main job on the project's own data set."""

from sparknlp_ft.demo.run import main

if __name__ == "__main__":
    raise SystemExit(main())
