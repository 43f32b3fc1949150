"""pytest shows the cells of the matrix as items: a view on `counterpart serve`, and no judge.

`program` starts the program and reads its answers, `outcome` collects the results of cells,
`verdict_text` words a red one, `plugin` is what pytest calls.
"""
