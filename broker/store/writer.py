"""The group committer (design §4): all entity writes of this process go through one `EntityWriter`.

Contract; the body is built together with the stores.
"""
