"""UCloud's JSON as models, and nothing else.

What Core sends is read leniently: every field is optional, `null`, `""` and absent mean the same,
unknown fields are ignored (both eras spell out different ones). What we send is written exactly.
"""
